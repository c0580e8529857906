"""Events of several engines in the order of their times.

A run of equal steps is written down when it is taken, with what its earlier steps evicted. Until
then other engines go on, so what they do waits here.
"""

from __future__ import annotations

import heapq

from marsbench.core.events import Event
from marsbench.core.sim.sessions import Emit

MANY = 256


class OrderedEvents:
    """Passes events on by (time, order of arrival)."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._heap: list[tuple[float, int, Event]] = []
        self._num = 0

    def add(self, event: Event) -> None:
        self._num += 1
        heapq.heappush(self._heap, (event.at, self._num, event))

    @property
    def are_many(self) -> bool:
        """Whether so many wait that it pays to ask up to when they can be passed on."""
        return len(self._heap) >= MANY

    def flush(self, before: float) -> None:
        """Pass on what happened before then: nothing else of that time will come."""
        while self._heap and self._heap[0][0] < before:
            self._emit(heapq.heappop(self._heap)[2])
