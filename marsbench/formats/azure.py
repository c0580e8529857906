"""Reads Azure's LLM inference traces (CSV): when requests arrived, and how long they were.

A request has no session, no tools and no text, so a trace gives arrival times to the sessions of
a workload, or sessions of one round. Traces of 2023 write local times with ten-millionths of a
second, those of 2024 a zone and millionths, which whole seconds have not.
"""

from __future__ import annotations

import csv
import math
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from marsbench.core.session import Round, Session
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.opening import lines_of
from marsbench.formats.reading import Contents, ReadError, Reading, SessionSource, failed

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MOST_TOKENS = 10**9
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(\.\d{1,12})?(Z|[+-]\d\d:?\d\d)?")


@dataclass(frozen=True, slots=True)
class Request:
    """One row: seconds after the trace's first, tokens of the prompt and of the output."""

    at_s: float
    prompt: int
    output: int


def read_azure(
    path: Path, most: int | None = None
) -> tuple[Iterator[Request], int, list[SessionSource]]:
    """The requests in order of arrival, how many, and sources that fail for rows that are none.

    most: so many of the first rows are enough. Raises ReadError when the file is no such trace.
    """
    lines = lines_of(path)
    first = next(lines, ("", b""))[1].decode("utf-8", "replace")
    header = [name.strip() for name in first.split(",")]
    if not set(COLUMNS) <= set(header):
        raise ReadError(f"its first line must name the columns {', '.join(COLUMNS)}")
    places = [header.index(name) for name in COLUMNS]
    found = _Columns()
    problems: list[SessionSource] = []
    for place, line in lines:
        try:
            found.append(*_row(line, places))
        except (csv.Error, ValueError) as error:
            problems.append(failed(place, ReadError(f"is no request ({error})")))
        if len(found.prompts) == most:
            break
    return found.requests(), len(found.prompts), problems


@dataclass(frozen=True, slots=True)
class _Columns:
    """The rows so far, in 24 bytes each: traces of a week have tens of millions."""

    seconds: array[int] = field(default_factory=lambda: array("q"))
    fractions: array[float] = field(default_factory=lambda: array("d"))
    prompts: array[int] = field(default_factory=lambda: array("i"))
    outputs: array[int] = field(default_factory=lambda: array("i"))

    def append(self, second: int, fraction: float, prompt: int, output: int) -> None:
        self.seconds.append(second)
        self.fractions.append(fraction)
        self.prompts.append(prompt)
        self.outputs.append(output)

    def requests(self) -> Iterator[Request]:
        """In order of arrival; of several at one time, the shortest first."""
        seconds, fractions = np.asarray(self.seconds), np.asarray(self.fractions)
        keys = (np.asarray(self.outputs), np.asarray(self.prompts), fractions, seconds)
        order = np.lexsort(keys).tolist()
        for place in order:
            # Whole seconds first: a time since 1970 leaves a float seven digits behind the point.
            whole = self.seconds[place] - self.seconds[order[0]]
            at_s = whole + (self.fractions[place] - self.fractions[order[0]])
            yield Request(at_s, self.prompts[place], self.outputs[place])


def _row(line: bytes, places: Sequence[int]) -> tuple[int, float, int, int]:
    """When it came, whole seconds and the rest of one, and its tokens. Raises ValueError."""
    cells = next(csv.reader([line.decode()]), [])
    if len(cells) <= max(places):
        raise ValueError(f"it has {len(cells)} columns")
    time, prompt, output = (cells[place].strip() for place in places)
    found = _tokens(prompt), _tokens(output)
    if found[0] < 1:
        raise ValueError(f"{prompt} prompt and {output} output tokens")
    return *_at(time), found[0], max(1, found[1])


def _tokens(cell: str) -> int:
    if not cell.isascii() or not cell.isdigit() or int(cell[:12]) > MOST_TOKENS:
        raise ValueError(f"{cell[:20]!r} is no count of tokens")
    return int(cell)


def _at(cell: str) -> tuple[int, float]:
    """Whole seconds since 1970, and the rest of one; a time without a zone is taken as UTC."""
    match = _TIME.fullmatch(cell)
    if match is None:
        raise ValueError(f"{cell[:40]!r} is no time")
    whole, fraction, zone = match.groups()
    at = datetime.fromisoformat(whole + (zone or ""))
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return math.floor(at.timestamp()), float(f"0{fraction}") if fraction else 0.0


def single_rounds(requests: Iterable[Request], name: str) -> Iterator[Session]:
    """A session of one round for every request."""
    return (
        Session(f"{name}-{number:05d}", (Round(r.prompt, r.output),), r.at_s)
        for number, r in enumerate(requests)
    )


def read_single(path: Path, fallback: Fallback) -> Contents:
    """Each request as a session of one round."""
    requests, _, problems = read_azure(path, fallback.most)
    found = sources_of_sessions(single_rounds(requests, path.name.partition(".")[0]), path)
    note = f"{path}: each request is a session of one round"
    return Contents(chain(problems, found), (note,))


def sources_of_sessions(sessions: Iterator[Session], path: Path) -> Iterator[SessionSource]:
    """Sessions that are ready."""
    return (SessionSource(str(path), partial(Reading, session)) for session in sessions)


def _recognised(head: Head) -> str | None:
    names = {name.strip() for name in head.first_line.split(",")}
    return f"its columns are {', '.join(COLUMNS)}" if names.issuperset(COLUMNS) else None


FORMAT = Format(
    name="azure",
    title="an Azure LLM inference trace",
    tried=("AzureLLMInferenceTrace 2023 (2023-11)", "2024, one week (2024-05)"),
    recognise=_recognised,
    read=read_single,
    has_arrivals=True,
)
