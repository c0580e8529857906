"""AIOS's default: calls are drained from the queue in batches, and a batch blocks the next.

Source: agiresearch/AIOS (2155966), its FIFO scheduler, which it runs where it has no context
manager. It sleeps for `sleep_s`, takes every call that has come meanwhile, has them answered
together, and sleeps again when the last is answered. What comes in between waits.
Readings: `blocking` is off where a batch is handed to threads and the queue is looked at again
without waiting for them. `width` bounds the calls that are answered at once: a model that runs
inside of AIOS takes one after the other, a server takes a batch whole.
Differs: a batch is the engine's to run, as far as its memory goes, in the order of arrival.
Not modelled: AIOS's other managers (memory, storage, tools).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from marsbench_backends.parameters import varied
from marsbench_backends.policy import Key, Policy, Req, View
from marsbench_backends.signals import (
    EngineStarted,
    RoundEnded,
    RoundSubmitted,
    SessionEnded,
    Signal,
)


@dataclass
class AiosFifo(Policy):
    """sleep_s: seconds between the end of a batch and the next, and between two empty looks.

    blocking: whether a batch must be answered before the next is drained.
    width: calls that are answered at once; none: as many as the engine takes.
    """

    sleep_s: float = varied(1.0, 0.05, 5.0, why="a constant of its code, which polls with it")
    blocking: bool = varied(True, False, why="its code waits for a batch; a server need not")
    width: int | None = varied(None, 1, why="a server's batch; a model inside takes one at a time")
    _batch: set[str] = field(default_factory=set, init=False, repr=False)
    _queue: dict[str, None] = field(default_factory=dict, init=False, repr=False)
    _awake_at: float = field(default=0.0, init=False, repr=False)
    _looks: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.sleep_s <= 0:
            raise ValueError(f"sleep_s must be more than 0, not {self.sleep_s}")
        if self.width is not None and self.width < 1:
            raise ValueError(f"width must be at least 1, not {self.width}")
        self.max_running = self.width

    def waiting_key(self, req: Req, view: View) -> Key:
        self._go_on(view.now)
        return (req.session_id in self._queue, req.position)

    def chunk(self, req: Req, num_tokens: int, view: View) -> int:
        self._go_on(view.now)
        return 0 if req.session_id in self._queue else num_tokens

    def changes_at(self, view: View) -> float:
        """The next look at the queue, where somebody is in it and no batch is in the way."""
        self._go_on(view.now)
        if not self._queue or self._is_blocked():
            return math.inf
        return self._look_at(self._looks + 1)

    def observe(self, signal: Signal) -> None:
        self._go_on(signal.at)
        match signal:
            case EngineStarted():
                self._awake_at, self._looks = signal.at, 0
            case RoundSubmitted():
                self._queue[signal.session_id] = None
            case RoundEnded() | SessionEnded():
                self._answered(signal)

    def _answered(self, signal: Signal) -> None:
        self._queue.pop(signal.session_id, None)
        if signal.session_id in self._batch:
            self._batch.remove(signal.session_id)
            if self.blocking and not self._batch:
                self._awake_at, self._looks = signal.at, 0

    def _is_blocked(self) -> bool:
        return self.blocking and bool(self._batch)

    def _look_at(self, number: int) -> float:
        return self._awake_at + number * self.sleep_s

    def _go_on(self, now: float) -> None:
        """Every look at the queue up to now; nothing else happens in between."""
        while not self._is_blocked() and self._look_at(self._looks + 1) <= now:
            if not self._queue:
                self._looks = self._last_look(now)
                continue
            self._batch.update(self._queue)
            self._queue.clear()
            self._looks += 1
            self.version += 1

    def _last_look(self, now: float) -> int:
        """The number of the latest look, however often it was asked for before."""
        number = max(self._looks, math.floor((now - self._awake_at) / self.sleep_s) - 1)
        while self._look_at(number + 1) <= now:
            number += 1
        return number
