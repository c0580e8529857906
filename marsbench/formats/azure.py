"""Reads Azure's LLM inference traces (CSV): when requests arrived, and how long they were.

A request has no session, no tools and no text, so a trace gives arrival times to the sessions of
a workload, or sessions of one round.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from marsbench.core.session import Round, Session
from marsbench.formats.reading import ReadError, lines_of

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


@dataclass(frozen=True, slots=True)
class Request:
    """One row: seconds after the trace's first, tokens of the prompt and of the output."""

    at_s: float
    prompt: int
    output: int


def read_azure(path: Path) -> tuple[list[Request], list[str]]:
    """The requests in order of arrival, and a sentence for each row that is none.

    Raises ReadError when the file is no such trace.
    """
    lines = list(lines_of(path))
    header = [name.strip() for name in lines[0][1].split(",")] if lines else []
    if not set(COLUMNS) <= set(header):
        raise ReadError(f"its first line must name the columns {', '.join(COLUMNS)}")
    found: list[tuple[float, int, int]] = []
    problems: list[str] = []
    for place, line in lines[1:]:
        try:
            found.append(_row(dict(zip(header, next(csv.reader([line])), strict=False))))
        except (KeyError, ValueError) as error:
            problems.append(f"{place}: is no request ({error})")
    found.sort()
    begin = found[0][0] if found else 0.0
    return [Request(at - begin, prompt, output) for at, prompt, output in found], problems


def _row(cells: dict[str, str]) -> tuple[float, int, int]:
    # The traces write ten-millionths of a second, one digit more than a datetime holds.
    day, _, fraction = cells["TIMESTAMP"].strip().partition(".")
    at = (datetime.fromisoformat(day) - datetime(1970, 1, 1)).total_seconds()
    at += float(f"0.{fraction}") if fraction else 0.0
    prompt, output = int(cells["ContextTokens"]), int(cells["GeneratedTokens"])
    if prompt < 1 or output < 0:
        raise ValueError(f"{prompt} prompt and {output} output tokens")
    return at, prompt, max(1, output)


def single_rounds(requests: Sequence[Request], name: str) -> list[Session]:
    """A session of one round for every request."""
    return [
        Session(f"{name}-{number:05d}", (Round(r.prompt, r.output),), r.at_s)
        for number, r in enumerate(requests)
    ]
