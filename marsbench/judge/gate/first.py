"""The first decision in which two sides part, at every place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path

from marsbench.core.events import EVENT_TYPES, Event, KvUsage
from marsbench.judge.compare.points import place_of
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.runs import RunFolder

DECISIONS = EVENT_TYPES.keys() - {KvUsage.kind}
"""Samples decide nothing: what they show comes of a decision before."""


def first_differences(baseline: Path, candidate: Path) -> Iterator[str]:
    """A sentence a place, of the first of its seeds in which the events differ."""
    told: set[object] = set()
    for result in SweepFolder.open(baseline).results():
        name = result.run.path.name
        place = place_of(result), result.place["backend"]
        if place in told or not (candidate / name).is_dir():
            continue
        other = RunFolder.open(candidate / name)
        if not (result.run.has_events and other.has_events):
            continue
        found = first_difference(result.run.events(DECISIONS), other.events(DECISIONS))
        if found is not None:
            told.add(place)
            yield f"{name}: {found}"


def first_difference(base: Iterable[Event], other: Iterable[Event]) -> str | None:
    """ "preempted s3 at 12.5 s (round 2); the candidate: preempted s7 …"; None where none is."""
    for own, theirs in zip_longest(base, other):
        if own != theirs:
            return f"{_told(own)}; the candidate: {_told(theirs)}"
    return None


def _told(event: Event | None) -> str:
    if event is None:
        return "nothing more"
    facts = asdict(event)
    at, who = facts.pop("at"), facts.pop("session", None) or facts.pop("owner", None) or ""
    more = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
    return f"{event.kind} {who} at {at:.3f} s" + (f" ({more})" if more else "")
