"""A comparison as plain values, for JSON."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from marsbench.judge.compare.values import Comparison, flat

TABLES = (
    "estimates",
    "differences",
    "rankings",
    "curves",
    "areas",
    "cdf",
    "sizes",
    "tenants",
    "fairness",
    "ttft_by_round",
    "of_oracle",
    "caps",
    "capacities",
)


def record(found: Comparison) -> dict[str, Any]:
    """Every table as a list of flat rows, with what they are of."""
    return {
        "marsbench_compare": 1,
        "baseline": found.baseline,
        "alphas": list(found.alphas),
        "confidence": found.confidence,
        "backends": list(found.backends),
        "places": [{"title": found.matrix.title(p), **p._asdict()} for p in found.places],
        "sources": [_source(source) for source in found.sources],
        **{name: [_plain(flat(row)) for row in getattr(found, name)] for name in TABLES},
        "held": {
            dimension: [{**row._asdict(), "verdict": row.verdict} for row in rows]
            for dimension, rows in found.held.items()
        },
        "cautions": list(found.cautions),
    }


def _source(source: Any) -> dict[str, Any]:
    return {f.name: _value(getattr(source, f.name)) for f in dataclasses.fields(source)}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    """JSON has no infinity and no NaN: what is neither known nor finite is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value._asdict() if hasattr(value, "_asdict") else value
