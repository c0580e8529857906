"""The change between paired samples, its interval, and how sure it is that it passes a limit.

Absolute: the mean of candidate − baseline with Student's t. Relative: the ratio of means R with
the linearised variance of a ratio estimator (Cochran, Sampling Techniques, 6.4): the t interval
of the residuals candidate − R · baseline, over the baseline's mean. Both have zero width when the
sides are equal, and neither needs dice. A percentile bootstrap of a few seeds is narrower than it
says, which makes false verdicts; reports/gate-calibration.md holds how often these are wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from marsbench.compare.values import Interval


class Change(NamedTuple):
    """An estimated change, its standard error and degrees of freedom.

    error is 0 when all pairs agree, and None where one pair alone cannot say.
    """

    value: float
    error: float | None
    freedom: int


def absolute(base: Sequence[float], other: Sequence[float]) -> Change:
    """Mean of other − base."""
    return _of([y - x for x, y in zip(base, other, strict=True)], 1.0, None)


def relative(base: Sequence[float], other: Sequence[float]) -> Change | None:
    """Mean of other ÷ mean of base, less 1. None when the baseline's mean is 0 and other's not."""
    below, above = _mean(base), _mean(other)
    if list(base) == list(other):
        return Change(0.0, 0.0, max(1, len(base) - 1))
    if below <= 0:
        return None
    ratio = above / below
    residuals = [y - ratio * x for x, y in zip(base, other, strict=True)]
    return _of(residuals, below, ratio - 1)


def _of(values: Sequence[float], scale: float, value: float | None) -> Change:
    n, mean = len(values), _mean(values)
    estimate = mean if value is None else value
    if n < 2:
        return Change(estimate, 0.0 if not any(values) and value is None else None, 1)
    variance = math.fsum((v - mean) * (v - mean) for v in values) / (n - 1)
    return Change(estimate, math.sqrt(variance / n) / scale, n - 1)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def interval(change: Change, confidence: float) -> Interval:
    """Bounds, each passed by the truth in 1 − confidence of cases; none from one pair."""
    if change.error is None:
        return Interval(change.value, None, None)
    from scipy.special import stdtrit

    half = float(stdtrit(change.freedom, confidence)) * change.error
    return Interval(change.value, change.value - half, change.value + half)


def doubt_above(change: Change, limit: float) -> float:
    """How easily a true change of `limit` or less gives one as large: the one-sided p-value."""
    if change.error is None:
        return 1.0
    if change.error == 0:
        return 0.0 if change.value > limit else 1.0
    from scipy.special import stdtr

    return float(stdtr(change.freedom, -(change.value - limit) / change.error))
