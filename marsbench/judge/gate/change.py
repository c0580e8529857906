"""How each seed changed, and how sure it is that the typical seed passes a limit.

The rule is that of `marsbench.judge.intervals`: seeds are counted. Absolute changes are candidate −
baseline, relative ones candidate ÷ baseline − 1, both seed by seed. Nothing is drawn, and no
distribution is taken for granted; reports/coverage.md holds how often the interval is right, and
reports/gate-calibration.md how often the verdicts are wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from marsbench.judge.intervals import (
    Interval,
    chance,
    changes,
    differences,
    dissent,
    is_level,
    mean,
    typical,
)


class Change(NamedTuple):
    """of_means: the change of the mean over seeds. each: every seed's; infinite in a seed whose
    baseline is 0 and whose candidate is not."""

    of_means: float
    each: tuple[float, ...]


def absolute(base: Sequence[float], other: Sequence[float]) -> Change:
    """Changes in the figure's unit."""
    return Change(mean(other) - mean(base), tuple(differences(base, other)))


def relative(base: Sequence[float], other: Sequence[float]) -> Change | None:
    """Changes as shares of the baseline. None when its mean is 0 and the other's is not."""
    (of_means,) = changes([mean(base)], [mean(other)])
    if math.isinf(of_means):
        return None
    return Change(of_means, tuple(changes(base, other)))


def reversed_(change: Change) -> Change:
    """The same with down as up."""
    return Change(-change.of_means, tuple(-one for one in change.each))


def interval(change: Change, confidence: float) -> Interval:
    """The typical seed's change; each bound is passed by the truth in 1 − confidence of cases."""
    return typical(change.each, two_sided(confidence))


def two_sided(confidence: float) -> float:
    """Of an interval whose bounds are of this confidence each."""
    return 2 * confidence - 1


def doubt_above(change: Change, limit: float, confidence: float) -> float:
    """How easily chance alone puts so many seeds beyond a limit that the typical seed does not
    pass: the sign test's p-value. 1 with seeds too few, and where the means do not pass it."""
    num_seeds = len(change.each)
    if dissent(num_seeds, two_sided(confidence)) is None or not exceeds(change.of_means, limit):
        return 1.0
    return chance(sum(exceeds(one, limit) for one in change.each), num_seeds)


def stays_within(change: Change, limit: float, confidence: float) -> bool:
    """Whether the whole interval is within a limit, and the means too; the very edge still is."""
    high = interval(change, confidence).high
    return high is not None and not exceeds(high, limit) and not exceeds(change.of_means, limit)


def exceeds(change: float, limit: float) -> bool:
    """Beyond a limit by more than rounding."""
    return change > limit and not is_level(change, limit)
