"""The events of one run, grouped by type: what every metric is computed from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from marsbench.core.events import Event

E = TypeVar("E", bound=Event)


class Stream:
    """Events by type, each group in the order in which things happened; read only.

    A long run has a million evictions and a few thousand rounds, so each metric walks its own
    types alone.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self._groups: dict[type[Event], list[Any]] = defaultdict(list)
        self.end_s = 0.0
        for event in events:
            self._groups[type(event)].append(event)
            self.end_s = max(self.end_s, event.at)

    def between(self, from_s: float, to_s: float) -> Stream:
        """The events from one instant to another, both included."""
        return Stream(e for group in self._groups.values() for e in group if from_s <= e.at <= to_s)

    def of(self, kind: type[E]) -> Sequence[E]:
        """All events of exactly this type."""
        return self._groups.get(kind, [])
