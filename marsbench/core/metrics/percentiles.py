"""The one way in which marsbench describes many numbers by a few, and the count they stand on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypedDict

# Below this count the 99th percentile lies between the two largest values: it is their maximum
# under another name.
MIN_FOR_P99 = 100


class Distribution(TypedDict):
    """A set of numbers in the unit of the metric; all None but `n` when the set is empty."""

    n: int
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    max: float | None


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """The `percent`-th percentile of ascending values, linear between closest ranks.

    Hyndman and Fan's type 7, numpy's default. None when there are no values.
    """
    if not ordered:
        return None
    rank = (len(ordered) - 1) * percent / 100
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    value = ordered[low] + (ordered[high] - ordered[low]) * (rank - low)
    # Rounding could lift the interpolated value a hair above its upper neighbour.
    return min(value, ordered[high])


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean, the same whatever the order of the values; None when there are none."""
    return math.fsum(values) / len(values) if values else None


def describe(values: Iterable[float | None]) -> Distribution:
    """The distribution of the values that were measured; None among them is left out."""
    ordered = sorted(value for value in values if value is not None)
    return {
        "n": len(ordered),
        "mean": mean(ordered),
        "p50": percentile(ordered, 50),
        "p90": percentile(ordered, 90),
        "p95": percentile(ordered, 95),
        "p99": percentile(ordered, 99),
        "max": ordered[-1] if ordered else None,
    }
