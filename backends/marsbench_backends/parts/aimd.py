"""A window of sessions that grows slowly and shrinks at once (AIMD), for both readings of MARS."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class AimdWindow:
    """`size` sessions in flight: `add` more for each calm interval, `cut` times as many after one
    with congestion.

    tick_s: seconds of a control interval. Raises ValueError where `low` is not in 1..`high`.
    """

    size: int
    low: int
    high: int
    add: int
    cut: float
    tick_s: float
    _moved_at: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high:
            raise ValueError(f"window_min {self.low} must be in 1..{self.high}")

    def intervals(self, now: float) -> int:
        """Control intervals up to now: those since the last tick, in which nobody waited, count as
        like this one.
        """
        before, self._moved_at = self._moved_at, now
        return 1 if before is None else max(1, round((now - before) / self.tick_s))

    def move(self, congested: bool, calm: bool, intervals: int, cap: int) -> None:
        """After these intervals: between `low` and `cap`, and neither calm nor congested as it was.

        Only one of several intervals cuts: it is the last whose congestion was seen.
        """
        if congested:
            self.size = math.floor(self.cut * self.size)
        elif calm:
            self.size += self.add * intervals
        self.size = min(max(self.size, self.low), cap)
