"""Reads BurstGPT's traces (CSV): requests to ChatGPT and GPT-4, and which conversation each is of.

A request without a conversation is a session of one round, as all were in the first release. The
requests of one are its rounds: what came before a prompt is taken to be in it where the prompt is
long enough, and the time from an answer to the next request is the user's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from marsbench.core.workload.generate import USER
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format
from marsbench.formats.reading import Contents, ReadError, Reading, SessionSource, failed
from marsbench.formats.request_rows import (
    Request,
    Row,
    ready,
    recognised_by,
    requests_of,
    seconds_in,
    single_round,
    tokens_in,
)
from marsbench.formats.timed import Talk, TimedCall, Usage, reading_of

NEEDED = ("Timestamp", "Request tokens", "Response tokens")
COLUMNS = (*NEEDED, "Session ID?", "Elapsed time?")


class _Rows:
    """Makes a row of cells. num_failed: requests without an answer, which are passed over."""

    def __init__(self) -> None:
        self.num_failed = 0

    def row(self, cells: Sequence[str]) -> Row | None:
        time, prompt, output, session, elapsed = cells
        at_s = seconds_in(time)
        lengths = _tokens(prompt), _tokens(output)
        if lengths[0] < 1:
            raise ValueError(f"{prompt} request tokens")
        if not lengths[1]:
            self.num_failed += 1
            return None
        took_s = seconds_in(elapsed) if session else 0.0
        whole = math.floor(at_s)
        return Row(whole, at_s - whole, *lengths, session, took_s)


def _tokens(cell: str) -> int:
    """A few releases write whole numbers as 472.0."""
    return tokens_in(cell.removesuffix(".0"))


def read_burstgpt(path: Path, fallback: Fallback) -> Contents:
    """The conversations of a trace, and its single requests. Raises ReadError."""
    rows = _Rows()
    return Contents(_sources(path, requests_of(path, COLUMNS, rows.row), rows, fallback))


def _sources(
    path: Path, found: Iterator[Request | SessionSource], rows: _Rows, fallback: Fallback
) -> Iterator[SessionSource]:
    """Single requests as they come; conversations when all rows were read."""
    name, number = path.name.partition(".")[0], 0
    talks: dict[str, list[Request]] = {}
    try:
        for one in found:
            if isinstance(one, SessionSource):
                yield one
            elif one.session:
                talks.setdefault(one.session, []).append(one)
            else:
                yield ready(single_round(one, f"{name}-{number:05d}"), path)
                number += 1
    except ReadError as error:
        yield failed(str(path), error)
    for session, requests in talks.items():
        where = f"{path}: session {session}"
        yield SessionSource(where, partial(_reading, session, requests, fallback))
    if rows.num_failed:
        said = f"{rows.num_failed:,} requests failed (they have no response tokens)"
        yield failed(str(path), ReadError(said))


def _reading(name: str, requests: Sequence[Request], fallback: Fallback) -> Reading:
    calls = [
        TimedCall(
            of=f"call {number}",
            sent_at=one.at_s,
            ended_at=one.at_s + one.took_s,
            usage=Usage(one.prompt, one.output),
            set_off_by=USER,
        )
        for number, one in enumerate(requests)
    ]
    return reading_of(Talk(name=name, calls=calls), fallback)


FORMAT = Format(
    name="burstgpt",
    title="a trace of BurstGPT",
    tried=("1.1, without sessions (2024-06)", "2.0, with sessions (2025-08)"),
    recognise=partial(recognised_by, NEEDED),
    read=read_burstgpt,
    has_arrivals=True,
)
