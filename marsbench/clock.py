"""The wall clock: the one place of the harness where real time is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Seconds = TypeVar("Seconds", float, "NDArray[np.float64]")

# Event loops round timers to milliseconds; half of one more, and none fires before its time.
ROUNDING_S = 0.0005


def monotonic() -> float:
    """Seconds that never run backwards, from an arbitrary origin."""
    return time.monotonic()  # noqa: TID251


def unix() -> float:
    """Seconds since 1970, as others write time stamps."""
    return time.time()  # noqa: TID251


class WallClock:
    """Seconds since a start. At speed 10, a second of the wall is ten of them."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._start = monotonic()

    def start(self) -> None:
        """Zero is now."""
        self._start = monotonic()

    @property
    def now(self) -> float:
        """Its seconds now."""
        return self.of(monotonic())

    def of(self, wall: Seconds) -> Seconds:
        """Its seconds at readings of `monotonic`."""
        return (wall - self._start) * self.speed

    async def until(self, at: float) -> float:
        """Returns `at` when it has come, never before; at once when it is past."""
        while (wait := self._start + at / self.speed - monotonic()) > 0:
            await asyncio.sleep(wait + ROUNDING_S)
        return at

    def later(self, seconds: float, action: Callable[[], None]) -> Callable[[], None]:
        """Do it in so many seconds; what is returned takes that back."""
        return asyncio.get_running_loop().call_later(seconds / self.speed, action).cancel
