"""The last numbers of something that is measured again and again."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque


class Rolling:
    """The mean of the last `most` numbers, 0 before the first."""

    def __init__(self, most: int) -> None:
        self._last: deque[float] = deque(maxlen=most)
        self._mean: float | None = 0.0

    def __len__(self) -> int:
        return len(self._last)

    def add(self, number: float) -> None:
        self._last.append(number)
        self._mean = None  # it is asked for more often than it changes, or not at all

    @property
    def mean(self) -> float:
        if self._mean is None:
            self._mean = math.fsum(self._last) / len(self._last)
        return self._mean

    @property
    def is_full(self) -> bool:
        return len(self._last) == self._last.maxlen


class Ranked(Rolling):
    """With their quantiles, None before the first."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._sorted: list[float] = []

    def add(self, number: float) -> None:
        if self.is_full:
            del self._sorted[bisect_left(self._sorted, self._last[0])]
        super().add(number)
        insort(self._sorted, number)

    def quantile(self, share: float) -> float | None:
        """The smallest that more than `share` of them do not pass."""
        last = len(self._sorted) - 1
        return self._sorted[min(last, int(share * len(self._sorted)))] if self._sorted else None
