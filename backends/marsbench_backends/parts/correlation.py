"""Pearson's correlation of pairs that come one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Correlation:
    """Sums of integers: exact, whatever the order in which the pairs came."""

    count: int = 0
    x: int = 0
    y: int = 0
    xx: int = 0
    yy: int = 0
    xy: int = 0

    def add(self, x: int, y: int) -> None:
        self.count += 1
        self.x += x
        self.y += y
        self.xx += x * x
        self.yy += y * y
        self.xy += x * y

    def value(self) -> float | None:
        """None for fewer than two pairs, or where x or y never varies."""
        n = self.count
        spread = (n * self.xx - self.x * self.x) * (n * self.yy - self.y * self.y)
        if n < 2 or spread == 0:
            return None
        return (n * self.xy - self.x * self.y) / math.sqrt(spread)
