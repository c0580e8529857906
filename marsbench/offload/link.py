"""The link between the GPU and host memory: two lanes, each one copy at a time, first come first.

The copies are those of vLLM's connector and those that a policy asks for (`Swap`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from marsbench_backends.vllm.host_memory import Lane


@dataclass(frozen=True, slots=True)
class Copy:
    """Blocks on their way, from one instant to another.

    what: how whoever asked for it knows it. keys: of the blocks. asked_at: since when somebody
        waits for them. loads: which requests do, and for how many; nobody for a store.
    """

    what: Any
    keys: tuple[bytes, ...]
    loads: tuple[tuple[str, int], ...]
    asked_at: float
    begins_at: float
    ends_at: float
    number: int

    @property
    def is_store(self) -> bool:
        return not self.loads

    @property
    def is_job(self) -> bool:
        """Whether the connector counts it; else a policy asked for it."""
        return isinstance(self.what, int)


class Link:
    """Both lanes, and what is on them."""

    def __init__(self, seconds: Callable[[int], float]) -> None:
        """seconds: of a copy of so many blocks."""
        self._seconds = seconds
        self.out, self.back = Lane(), Lane()
        self.under_way: list[Copy] = []
        self._number = 0

    def send(
        self,
        what: Any,
        keys: tuple[bytes, ...],
        at: float,
        asked_at: float,
        loads: tuple[tuple[str, int], ...] = (),
    ) -> Copy:
        """Begin a copy as soon as its lane is free, but not before `at`."""
        lane, seconds = self.back if loads else self.out, self._seconds(len(keys))
        begins_at = max(at, lane.free_at)
        ends_at = lane.send(at, seconds)
        self._number += 1
        copy = Copy(what, keys, loads, asked_at, begins_at, ends_at, self._number)
        self.under_way.append(copy)
        return copy

    @property
    def next_end(self) -> float:
        """When the next copy ends; inf when none is under way."""
        return min((copy.ends_at for copy in self.under_way), default=float("inf"))

    def take(self, until: float) -> list[Copy]:
        """The copies that have ended by then, in the order of their ends."""
        done = [copy for copy in self.under_way if copy.ends_at <= until]
        if done:
            self.under_way = [copy for copy in self.under_way if copy.ends_at > until]
            done.sort(key=lambda copy: (copy.ends_at, copy.number))
        return done

    def busy_s(self, begin: float, end: float) -> float:
        """Seconds between two instants in which copies run, those of both lanes added."""
        busy = 0.0
        for copy in self.under_way:
            busy += max(0.0, min(end, copy.ends_at) - max(begin, copy.begins_at))
        return busy
