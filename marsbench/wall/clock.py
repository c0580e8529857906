"""The wall clock of a run: seconds since its start, as many times faster as the server is."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from marsbench.clock import monotonic

Seconds = TypeVar("Seconds", float, NDArray[np.float64])

# Event loops round timers to milliseconds; half of one more, and none fires before its time.
ROUNDING_S = 0.0005


class WallClock:
    """The run's seconds. At speed 10, a second of the wall is ten of the run."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._start = monotonic()

    def start(self) -> None:
        """Zero is now."""
        self._start = monotonic()

    @property
    def now(self) -> float:
        """The run's seconds now."""
        return self.of(monotonic())

    def of(self, wall: Seconds) -> Seconds:
        """The run's seconds at readings of `marsbench.clock.monotonic`."""
        return (wall - self._start) * self.speed

    async def until(self, at: float) -> float:
        """Returns `at` when it has come, never before; at once when it is past."""
        while (wait := self._start + at / self.speed - monotonic()) > 0:
            await asyncio.sleep(wait + ROUNDING_S)
        return at
