"""Reads the tables that TraceLab's runner replays (CSV): a row a round, its waits summed up.

`prefix_len` is what of the context a cache still had, so that it and `input_len` are the prompt, as
in the trace that a table was made from. A session's rows may stand anywhere.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Head
from marsbench.formats.opening import lines_of
from marsbench.formats.reading import Contents, ReadError, Reading, SessionSource, failed
from marsbench.formats.request_rows import cells_of, places_of, seconds_in, tokens_in
from marsbench.formats.timed import Talk, TimedCall, Usage, Use, reading_of

WAIT = "wait"
"""The name of a tool call that is all the time between two requests."""

NEEDED = ("round_idx", "prefix_len", "input_len", "output_len", "tool_wait_after_ms")
COLUMNS = (*NEEDED, "session_id?", "id?", "arrival_time?")

_WIDTH = 6
"""Numbers that are kept of a row: its place in the session, three lengths, and two times."""


def is_runners(head: Head) -> bool:
    """Whether a file is such a table."""
    names = {name.strip() for name in head.first_line.split(",")}
    return names.issuperset(NEEDED) and not names.isdisjoint({"session_id", "id"})


def read_runners(path: Path, fallback: Fallback) -> Contents:
    """The sessions of a table. Raises ReadError."""
    lines = lines_of(path)
    first = next(lines, ("", b""))[1]
    has_arrivals = places_of(first, COLUMNS)[-1] >= 0
    return Contents(_sources(path, lines, first, fallback), has_arrivals=has_arrivals)


def _sources(
    path: Path, lines: Iterator[tuple[str, bytes]], first: bytes, fallback: Fallback
) -> Iterator[SessionSource]:
    places = places_of(first, COLUMNS)
    sessions: dict[str, array[float]] = {}
    try:
        for place, line in lines:
            try:
                name, numbers = _row(cells_of(line, places))
            except (csv.Error, ValueError) as error:
                yield failed(place, ReadError(f"is no round ({error})"))
            else:
                sessions.setdefault(name, array("d")).extend(numbers)
    except ReadError as error:
        yield failed(str(path), error)
    for name, rows in sessions.items():
        yield SessionSource(f"{path}: session {name}", partial(_reading, name, rows, fallback))


def _row(cells: Sequence[str]) -> tuple[str, tuple[float, ...]]:
    """Whose a row is, and its numbers. Raises ValueError."""
    *counts, wait, session, other, arrival = cells
    name = session or other
    if not name:
        raise ValueError("it names no session")
    at_ms = seconds_in(arrival) if arrival else 0.0
    return name, (*map(tokens_in, counts), seconds_in(wait), at_ms)


def _reading(name: str, numbers: array[float], fallback: Fallback) -> Reading:
    starts = range(0, len(numbers), _WIDTH)
    rows = sorted(tuple(numbers[begin : begin + _WIDTH]) for begin in starts)
    for before, row in pairwise(rows):
        if before[0] == row[0]:
            raise ReadError(f"round_idx: {row[0]:.0f} is there twice; give sessions other names")
    calls = [_call(*row[:-1]) for row in rows]
    calls[0].sent_at = min(row[-1] for row in rows) / 1000
    return reading_of(Talk(name=name, calls=calls), fallback)


def _call(index: float, prefix: float, new: float, output: float, wait_ms: float) -> TimedCall:
    waits = [Use(name=WAIT, took_s=wait_ms / 1000)] if wait_ms else []
    usage = Usage(int(prefix + new), int(output), int(prefix))
    return TimedCall(of=f"round {index:.0f}", usage=usage, uses=waits)
