"""Two sides paired by seed: how each seed changed, and what that comes to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from marsbench.judge.intervals.seeds import CONFIDENCE
from marsbench.judge.intervals.typical import typical

CLOSE = 1e-9
"""Of the larger one: what is closer is equal. The last bits of a sum are no difference."""

Side = Literal["higher", "lower", "unclear"]


def mean(values: Sequence[float]) -> float:
    """Summed exactly, so that no order of adding up shows."""
    return math.fsum(values) / len(values)


def is_level(a: float, b: float) -> bool:
    """Whether two values are equal to all digits that mean anything."""
    return a == b or abs(a - b) <= CLOSE * max(abs(a), abs(b)) < math.inf


def digits(value: float) -> float:
    """The value in the digits that mean anything: a key by which equal ones are sorted as equal."""
    return float(f"{value:.9g}")


def differences(base: Sequence[float], other: Sequence[float]) -> list[float]:
    """other − base, seed by seed; exactly 0 where they are level."""
    return [0.0 if is_level(x, y) else y - x for x, y in zip(base, other, strict=True)]


def ratios(base: Sequence[float], other: Sequence[float]) -> list[float] | None:
    """other ÷ base, seed by seed; exactly 1 where they are level. None where a base is 0."""
    if not all(base):
        return None
    return [1.0 if is_level(x, y) else y / x for x, y in zip(base, other, strict=True)]


def changes(base: Sequence[float], other: Sequence[float]) -> list[float]:
    """other ÷ base − 1, seed by seed, of figures that are never below 0.

    From 0 to something is an infinite change: it is beyond every margin, and a count of seeds
    need not know by how much.
    """
    return [_change(x, y) for x, y in zip(base, other, strict=True)]


def _change(x: float, y: float) -> float:
    if is_level(x, y):
        return 0.0
    return y / x - 1 if x else math.inf


def side(base: Sequence[float], other: Sequence[float], confidence: float = CONFIDENCE) -> Side:
    """On which side of the base the other lies: the one verdict that every comparison gives.

    All of the typical difference's interval must lie there, and the difference of the means too:
    what is faster in most seeds and collapses in a few is not simply faster.
    """
    _, low, high = typical(differences(base, other), confidence)
    if low is None or high is None:
        return "unclear"
    below, above = mean(base), mean(other)
    if low > 0 and above > below:
        return "higher"
    return "lower" if high < 0 and above < below else "unclear"
