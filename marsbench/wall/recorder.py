"""What happened, put in order: events as they are learnt become a stream sorted by time.

An event is often learnt a little after it happened: a time stamp is taken when bytes arrive, and
an arrival counts from when it was due. So events wait for a while and are written in order.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Callable

from marsbench.clock import WallClock
from marsbench.core.events import Event

TICK_S = 0.25


class EventRecorder:
    """Takes events in any order, hands them on by time. Call it with an event; `tick` now and then.

    Whatever is learnt within one tick of its time, and `patience_s` wall seconds, finds its place;
    what comes later still is given the time of the last event written: time never goes back.
    open_since: by session, when something began whose events are not known yet. Nothing later is
        written until it is taken out.
    """

    def __init__(
        self, emit: Callable[[Event], None], clock: WallClock, patience_s: float = 0.0
    ) -> None:
        self.open_since: dict[str, float] = {}
        self._emit = emit
        self._clock = clock
        self._heap: list[tuple[float, int, Event]] = []
        self._sequence = 0
        self._patience = patience_s * clock.speed
        self._frontier = 0.0
        self._written = 0.0

    def __call__(self, event: Event) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (max(event.at, 0.0), self._sequence, event))

    def tick(self) -> None:
        """Write what happened before the last tick."""
        self.write(self._frontier - self._patience)
        self._frontier = self._clock.now

    def close(self) -> None:
        """Write the rest."""
        self.open_since.clear()
        self.write(float("inf"))

    def write(self, upto: float) -> None:
        """What happened up to then, as far as that is certain."""
        upto = min((upto, *self.open_since.values()))
        while self._heap and self._heap[0][0] <= upto:
            at, _, event = heapq.heappop(self._heap)
            self._written = max(self._written, at)
            if event.at != self._written:
                event = dataclasses.replace(event, at=self._written)
            self._emit(event)
