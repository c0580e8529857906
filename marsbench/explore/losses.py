"""Who lost KV when, and whose prompts were being computed then: a mark on the loser's lane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from marsbench.judge.why.explain import ExplainedRun
from marsbench.report.export.timeline import RunTimeline
from marsbench.text.numbers import fixed
from marsbench.text.words import few

MOST_MARKS = 20_000
"""Beyond that the bins of a lane grow, so that a page stays small."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Blocks of a lane that were evicted at about `at`, or (None) a preemption; in words."""

    lane: int
    at: float
    blocks: int | None
    told: str


def marks_of(
    run: ExplainedRun, timeline: RunTimeline, place: Mapping[str, int], grain_s: float
) -> list[Mark]:
    """Evictions by bins of `grain_s`, and every preemption, in order of time."""
    found = [*_preemptions(timeline, place), *_evictions(run, place, grain_s)]
    while len(found) > MOST_MARKS:
        grain_s *= 2
        found = [*_preemptions(timeline, place), *_evictions(run, place, grain_s)]
    return sorted(found, key=lambda mark: (mark.at, mark.lane))


def _evictions(run: ExplainedRun, place: Mapping[str, int], grain_s: float) -> list[Mark]:
    evicted = run.stream.evicted
    owners = [*evicted.owners]
    bins = (np.asarray(evicted.at) // grain_s).astype(np.int64)
    cells: dict[tuple[int, int], int] = {}
    for owner, cell, blocks in zip(evicted.owner, bins.tolist(), evicted.blocks, strict=True):
        cells[owner, cell] = cells.get((owner, cell), 0) + blocks
    found = []
    for (owner, cell), blocks in cells.items():
        name, at = owners[owner], (cell + 0.5) * grain_s
        if name in place:
            by = run.evictions.computing(name, at)
            told = f"{fixed(blocks)} blocks of {name} evicted{_while(by)}"
            found.append(Mark(place[name], at, blocks, told))
    return found


def _while(by: list[tuple[str, int]]) -> str:
    names = [f"{session} (round {number})" for session, number in by]
    return f" while {few(names)} computed a prompt" if names else ""


def _preemptions(timeline: RunTimeline, place: Mapping[str, int]) -> list[Mark]:
    return [
        Mark(
            place[event.session],
            event.at,
            None,
            f"{event.session}, round {event.round}: preempted with {fixed(event.computed_tokens)} "
            "tokens computed",
        )
        for events in timeline.preemptions.values()
        for event in events
    ]
