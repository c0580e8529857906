"""Quantities as a datasheet writes them: "3.35 TB/s", "80 GiB", "989 TFLOPS"."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import BeforeValidator, Field

_UNITS = {
    "bytes": {
        "B": 1.0,
        "MB": 1e6,
        "GB": 1e9,
        "TB": 1e12,
        "MiB": 2.0**20,
        "GiB": 2.0**30,
        "TiB": 2.0**40,
    },
    "bytes/s": {"B/s": 1.0, "MB/s": 1e6, "GB/s": 1e9, "TB/s": 1e12, "GiB/s": 2.0**30},
    "FLOPs/s": {"GFLOPS": 1e9, "TFLOPS": 1e12, "PFLOPS": 1e15},
    "seconds": {"fs": 1e-15, "ps": 1e-12, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0},
}
_QUANTITY = re.compile(r"\s*([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z/]+)\s*")


def parse(text: object, dimension: str) -> float:
    """The value in base units of e.g. "3.35 TB/s"; ValueError says which units are known."""
    units = _UNITS[dimension]
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in units:
        known = ", ".join(units)
        raise ValueError(f"{text!r} is not a number of {dimension} with a unit, one of {known}")
    value = float(match[1]) * units[match[2]]
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{text!r} must be greater than 0")
    return value


def parse_or_zero(text: object, dimension: str) -> float:
    """As parse, but the plain number 0 needs no unit."""
    return 0.0 if text == 0 else parse(text, dimension)


Bytes = Annotated[float, BeforeValidator(lambda text: parse(text, "bytes"))]
BytesPerS = Annotated[float, BeforeValidator(lambda text: parse(text, "bytes/s"))]
FlopsPerS = Annotated[float, BeforeValidator(lambda text: parse(text, "FLOPs/s"))]
Seconds = Annotated[float, BeforeValidator(lambda text: parse(text, "seconds"))]
SecondsOrZero = Annotated[float, BeforeValidator(lambda text: parse_or_zero(text, "seconds"))]
Share = Annotated[float, Field(gt=0, le=1)]
