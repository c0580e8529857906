"""Virtual time: a heap of what is due, ordered by (time, kind, sequence)."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from enum import IntEnum


class Due(IntEnum):
    """The order of what is due at one instant: ends before beginnings, decisions last."""

    TOOL_END = 0
    HOST = 1
    ARRIVAL = 2
    TICK = 3


class VirtualClock:
    """The time now, and actions that are due later.

    num_done: actions that have been done, ticks aside.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.num_done = 0
        self._heap: list[tuple[float, Due, int, Callable[[], None]]] = []
        self._sequence = 0
        self._num_to_do = 0

    def at(self, time: float, kind: Due, action: Callable[[], None]) -> None:
        """Do `action` at `time` (now, if that has passed)."""
        self._sequence += 1
        self._num_to_do += kind is not Due.TICK
        heapq.heappush(self._heap, (max(time, self.now), kind, self._sequence, action))

    @property
    def next_due(self) -> float:
        """When the next action is due; inf when none is."""
        return self._heap[0][0] if self._heap else float("inf")

    @property
    def only_ticks(self) -> bool:
        """Whether nothing is due but, perhaps, that the controller is asked again."""
        return self._num_to_do == 0

    def pop_due(self, until: float) -> Callable[[], None] | None:
        """The next action due by `until`, with the clock set to its time; None when none is."""
        if not self._heap or self._heap[0][0] > until:
            return None
        self.now, kind, _, action = heapq.heappop(self._heap)
        self._num_to_do -= kind is not Due.TICK
        self.num_done += kind is not Due.TICK
        return action
