"""What every session of a run did, a lane each, as columns that a page can draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marsbench.core.events import Held, Unheld
from marsbench.report.export.timeline import Phase, RunTimeline

ADMISSION, QUEUED, RECOMPUTE, PREFILL, DECODE, TOOL, HELD = range(7)
STATES = (
    ("waiting for admission", "#000000"),
    ("queued", "#E69F00"),
    ("recomputing what was lost", "#D55E00"),
    ("prefill", "#0072B2"),
    ("decode", "#56B4E9"),
    ("tool", "#C4CBD1"),
    ("KV held", "#009E73"),
)
"""What a session can be doing, and its colour: Okabe and Ito's, and grey where nothing is asked of
the GPU. `KV held` lies under a tool call."""
_ENGINE = {"queued": QUEUED, "queued again": QUEUED, "decode": DECODE}

Row = tuple[int, int, int, float, float]
"""Lane, state, round, begin and end."""


@dataclass(frozen=True, slots=True)
class Spans:
    """One entry a span: its lane, state and round (-1: none), and from when to when in seconds."""

    lane: NDArray[np.int32]
    state: NDArray[np.int8]
    round: NDArray[np.int32]
    begin: NDArray[np.float64]
    end: NDArray[np.float64]

    @staticmethod
    def of(rows: Sequence[Row]) -> Spans:
        lane, state, number, begin, end = zip(*rows, strict=True) if rows else ((),) * 5
        return Spans(
            np.asarray(lane, np.int32),
            np.asarray(state, np.int8),
            np.asarray(number, np.int32),
            np.asarray(begin, np.float64),
            np.asarray(end, np.float64),
        )

    def __len__(self) -> int:
        return len(self.lane)


def spans_of(timeline: RunTimeline, lanes: Sequence[str]) -> Spans:
    """All that the sessions did; `lanes` names them in order."""
    place = {session: number for number, session in enumerate(lanes)}
    rows: list[Row] = []
    for record in timeline.sessions:
        lane = place[record.session]
        for phase in timeline.all_of(record):
            rows.extend((lane, *span) for span in _states(phase))
    rows.extend(_holds(timeline, place))
    return Spans.of(rows)


def _states(phase: Phase) -> Iterator[tuple[int, int, float, float]]:
    number = phase.facts.get("round")
    of = number if isinstance(number, int) else -1
    if phase.kind == "admission":
        yield ADMISSION, of, phase.begin_at, phase.end_at
    elif phase.kind == "tool":
        yield TOOL, of, phase.begin_at, phase.end_at
    elif phase.name == "prefill":
        yield from _prefill(phase, of)
    else:
        yield _ENGINE[phase.name], of, phase.begin_at, phase.end_at


def _prefill(phase: Phase, of: int) -> Iterator[tuple[int, int, float, float]]:
    """In two, by tokens: what had been computed before comes first in a prompt.

    A later token costs more than an early one, so the cut is a little late.
    """
    prompt, cached, again = (
        int(phase.facts.get(name) or 0)
        for name in ("prompt_tokens", "cached_tokens", "recomputed_tokens")
    )
    new = max(1, prompt - cached)
    cut = phase.begin_at + (phase.end_at - phase.begin_at) * min(1.0, again / new)
    if again:
        yield RECOMPUTE, of, phase.begin_at, cut
    if cut < phase.end_at or not again:
        yield PREFILL, of, cut, phase.end_at


def _holds(timeline: RunTimeline, place: Mapping[str, int]) -> Iterator[Row]:
    """From a hold's first event to its end; it may be renewed in between."""
    since: dict[str, float] = {}
    changes = sorted(
        [*timeline.stream.of(Held), *timeline.stream.of(Unheld)], key=lambda event: event.at
    )
    for event in changes:
        if isinstance(event, Held):
            since.setdefault(event.session, event.at)
        elif event.session in since:
            yield place[event.session], HELD, -1, since.pop(event.session), event.at
    for session, at in since.items():
        yield place[session], HELD, -1, at, max(at, timeline.stream.end_s)
