"""Tables of requests (CSV), a row a request: when it came, and how long it was.

A row at a time: traces of a week have tens of millions. They are nearly in the order of their
times, so that only as many rows are held as there can be sessions.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush, heappushpop
from pathlib import Path
from typing import NamedTuple

from marsbench.core.session import Round, Session
from marsbench.formats.format import Head
from marsbench.formats.gathering import MOST_SESSIONS
from marsbench.formats.opening import lines_of
from marsbench.formats.reading import ReadError, Reading, SessionSource, failed

MOST_TOKENS = 10**9


class Row(NamedTuple):
    """A request as it is written; rows compare by when they came, and then by their lengths.

    second, fraction: whole seconds on the table's clock, and the rest of one, apart: a time since
    1970 leaves a float seven digits behind the point. session: of which it is a request; empty
    where it names none. took_s: until it was answered.
    """

    second: int
    fraction: float
    prompt: int
    output: int
    session: str = ""
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """One row: seconds after the trace's first, tokens of the prompt and of the output."""

    at_s: float
    prompt: int
    output: int
    session: str = ""
    took_s: float = 0.0


def recognised_by(columns: Sequence[str], head: Head) -> str | None:
    """Why a file is a table with these columns; None where it is none."""
    names = {name.strip() for name in head.first_line.split(",")}
    return f"its columns are {', '.join(columns)}" if names.issuperset(columns) else None


ParseRow = Callable[[Sequence[str]], Row | None]
"""A row of these cells; None for one that is to be passed over. Raises ValueError."""


def requests_of(
    path: Path, columns: Sequence[str], row_of: ParseRow, most: int | None = None
) -> Iterator[Request | SessionSource]:
    """The requests in order of arrival, and sources that fail for rows that are none.

    columns: those whose cells row_of gets, in this order; one that ends in "?" may be missing, and
        its cells are empty then. most: so many of the first rows are enough.
    Raises ReadError when the file is no such table, on the way where it is damaged.
    """
    lines = lines_of(path)
    places = places_of(next(lines, ("", b""))[1], columns)
    return _in_order(_rows(lines, places, row_of, most))


def _rows(
    lines: Iterable[tuple[str, bytes]], places: Sequence[int], row_of: ParseRow, most: int | None
) -> Iterator[tuple[str, Row | ReadError]]:
    """Each row that is not passed over, with its place."""
    good = 0
    for place, line in lines:
        try:
            row = row_of(cells_of(line, places))
        except (csv.Error, ValueError) as error:
            yield place, ReadError(f"is no request ({error})")
            continue
        if row is not None:
            yield place, row
            good += 1
        if good == most:
            return


def places_of(first: bytes, columns: Sequence[str]) -> list[int]:
    """Where the columns are; -1 of one that ends in "?", may be missing, and is.

    Raises ReadError for a line without the others.
    """
    header = [name.strip() for name in first.decode("utf-8", "replace").split(",")]
    needed = [name for name in columns if not name.endswith("?")]
    if not set(needed) <= set(header):
        raise ReadError(f"its first line must name the columns {', '.join(needed)}")
    names = [name.rstrip("?") for name in columns]
    return [header.index(name) if name in header else -1 for name in names]


def cells_of(line: bytes, places: Sequence[int]) -> list[str]:
    """What stands in these places. Raises ValueError, or the parser's error, for too few."""
    cells = next(csv.reader([line.decode("utf-8", "replace")]), [])
    if len(cells) <= max(places):
        raise ValueError(f"it has {len(cells)} columns")
    return [cells[place].strip() if place >= 0 else "" for place in places]


def _in_order(
    rows: Iterable[tuple[str, Row | ReadError]],
) -> Iterator[Request | SessionSource]:
    """By time; of several at one time, the shortest first."""
    held: list[Row] = []
    first: Row | None = None
    last: Row | None = None
    for place, row in rows:
        if isinstance(row, ReadError):
            yield failed(place, row)
        elif last is not None and row < last:
            said = f"came before {MOST_SESSIONS:,} requests that stand in front of it"
            yield failed(place, ReadError(said))
        elif len(held) < MOST_SESSIONS:
            heappush(held, row)
        else:
            last = heappushpop(held, row)
            first = first or last
            yield _request(last, first)
    while held:
        last = heappop(held)
        first = first or last
        yield _request(last, first)


def _request(row: Row, first: Row) -> Request:
    at_s = (row.second - first.second) + (row.fraction - first.fraction)
    return Request(at_s, row.prompt, row.output, row.session, row.took_s)


def tokens_in(cell: str) -> int:
    """A count of tokens. Raises ValueError."""
    if not cell.isascii() or not cell.isdigit() or int(cell[:12]) > MOST_TOKENS:
        raise ValueError(f"{cell[:20]!r} is no count of tokens")
    return int(cell)


def seconds_in(cell: str) -> float:
    """A time, of whatever unit. Raises ValueError."""
    try:
        value = float(cell) if len(cell) < 40 else math.nan
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1e12:
        raise ValueError(f"{cell[:20]!r} is no time")
    return value


def single_round(request: Request, name: str) -> Session:
    """A session of one round."""
    return Session(name, (Round(request.prompt, request.output),), request.at_s)


def ready(session: Session, path: Path) -> SessionSource:
    """A session that is ready."""
    return SessionSource(str(path), partial(Reading, session))
