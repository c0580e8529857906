"""The typical seed: the median over seeds, between two of the seeds themselves.

A mean over few seeds has no interval that holds: where one seed in five tips over, five seeds
often show none, and nothing in them says how far off their mean is. A median has one whatever the
distribution (`marsbench.judge.intervals.seeds`); reports/coverage.md measures both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from marsbench.judge.intervals.seeds import CONFIDENCE, dissent


class Interval(NamedTuple):
    """An estimate and its interval; `low` and `high` are None where seeds are too few."""

    value: float | None
    low: float | None
    high: float | None


UNKNOWN = Interval(None, None, None)


def typical(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The median of one value a seed, and the values between which it lies.

    With k seeds that may say otherwise, the (k + 1)th lowest to the (k + 1)th highest.
    """
    if not values:
        return UNKNOWN
    ordered = sorted(values)
    middle = (ordered[len(ordered) // 2] + ordered[(len(ordered) - 1) // 2]) / 2
    most = dissent(len(ordered), confidence)
    if most is None:
        return Interval(middle, None, None)
    return Interval(middle, ordered[most], ordered[-1 - most])
