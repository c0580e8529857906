"""The events of one run, grouped by type: what every metric is computed from."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from marsbench.core.events import Event, Evicted, KvUsage

E = TypeVar("E", bound=Event)
COLUMNS: tuple[type[Event], ...] = (Evicted, KvUsage)


def _floats() -> array[float]:
    return array("d")


def _ints() -> array[int]:
    return array("q")


@dataclass(frozen=True, slots=True)
class EvictedColumns:
    """Every `Evicted`, a column a field; `owner` is a place in `owners`."""

    at: array[float] = field(default_factory=_floats)
    owner: array[int] = field(default_factory=_ints)
    blocks: array[int] = field(default_factory=_ints)
    owners: dict[str, int] = field(default_factory=dict)

    def add(self, at: float, owner: str, blocks: int) -> None:
        self.at.append(at)
        self.owner.append(self.owners.setdefault(owner, len(self.owners)))
        self.blocks.append(blocks)

    def rows(self) -> Iterator[tuple[float, str, int]]:
        names = [*self.owners]
        return zip(self.at, (names[i] for i in self.owner), self.blocks, strict=True)


@dataclass(frozen=True, slots=True)
class UsageColumns:
    """What metrics read of every `KvUsage`; NaN where it was not measured."""

    at: array[float] = field(default_factory=_floats)
    used_blocks: array[float] = field(default_factory=_floats)
    held_blocks: array[float] = field(default_factory=_floats)

    def add(self, at: float, used: float | None, held: float | None) -> None:
        self.at.append(at)
        self.used_blocks.append(math.nan if used is None else used)
        self.held_blocks.append(math.nan if held is None else held)

    def rows(self) -> Iterator[tuple[float, float, float]]:
        return zip(self.at, self.used_blocks, self.held_blocks, strict=True)


class Stream:
    """Events by type, each group in the order in which things happened; read only.

    A long run has a million evictions and samples of its state, and a few thousand rounds, so each
    metric walks its own types alone; and those two are columns, a tenth of the memory of objects.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._groups: dict[type[Event], list[Any]] = defaultdict(list)
        self.evicted = EvictedColumns()
        self.usage = UsageColumns()
        self.end_s = 0.0
        groups, evicted, usage, end_s = self._groups, self.evicted.add, self.usage.add, 0.0
        for event in events:
            if isinstance(event, Evicted):
                evicted(event.at, event.owner, event.blocks)
            elif isinstance(event, KvUsage):
                usage(event.at, event.used_blocks, event.held_blocks)
            else:
                groups[type(event)].append(event)
            end_s = max(end_s, event.at)
        self.end_s = end_s

    def between(self, from_s: float, to_s: float) -> Stream:
        """The events from one instant to another, both included."""
        found = Stream(
            e for group in self._groups.values() for e in group if from_s <= e.at <= to_s
        )
        for row in self.evicted.rows():
            if from_s <= row[0] <= to_s:
                found.evicted.add(*row)
        for sample in self.usage.rows():
            if from_s <= sample[0] <= to_s:
                found.usage.add(*sample)
        found.end_s = max([found.end_s, *found.evicted.at[-1:], *found.usage.at[-1:]])
        return found

    def of(self, kind: type[E]) -> Sequence[E]:
        """All events of exactly this type. Raises TypeError for those that are columns."""
        if kind in COLUMNS:
            raise TypeError(f"{kind.__name__} events are columns of a stream")
        return self._groups.get(kind, [])
