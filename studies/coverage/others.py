"""The intervals that were tried instead of the typical seed's: arrays of draws, a row a draw.

Each takes the two sides, (draws, seeds), and a confidence, and gives the bounds of each draw; and
each has a truth of its own, from a very large sample. None where it has nothing to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from marsbench.judge.intervals.dice import dice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bounds = tuple[Floats, Floats]
    Make = Callable[[Floats, Floats, float], Bounds | None]
    Truth = Callable[[Floats, Floats], float]

RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Other:
    """An interval, of what, and the truth that it should hold. positive: takes times alone."""

    name: str
    make: Make
    truth: Truth
    positive: bool = False


@cache
def weights(units: int, resamples: int) -> Floats:
    """(resamples, units): the share of each unit in each draw of a bootstrap. Rows add up to 1."""
    import numpy as np

    rng = dice("bootstrap", units)
    return np.asarray(rng.multinomial(units, [1 / units] * units, resamples) / units)


def resampled(values: Floats) -> Floats:
    """(draws, resamples): the means of each bootstrap sample of each draw."""
    import numpy as np

    return np.asarray(np.einsum("ds,rs->dr", values, weights(values.shape[-1], RESAMPLES)))


def percentile(base: Floats, other: Floats, confidence: float) -> Bounds:
    """The percentile bootstrap of the difference of means (Efron, 1979)."""
    import numpy as np

    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled(other - base), [tail, 1 - tail], axis=-1)
    return low, high


def bca(base: Floats, other: Floats, confidence: float) -> Bounds:
    """The same, corrected for bias and skewness (Efron, 1987)."""
    import numpy as np
    from scipy.special import ndtr, ndtri

    apart = other - base
    means, value = resampled(apart), apart.mean(axis=-1, keepdims=True)
    below = (means < value).mean(axis=-1) + (means == value).mean(axis=-1) / 2
    bias = ndtri(below.clip(0.5 / RESAMPLES, 1 - 0.5 / RESAMPLES))
    centred = apart - value
    squares = (centred**2).sum(axis=-1)
    skew = (centred**3).sum(axis=-1) / 6 / np.where(squares > 0, squares, 1) ** 1.5
    bounds = []
    for z in (ndtri((1 - confidence) / 2), ndtri((1 + confidence) / 2)):
        at = ndtr(bias + (bias + z) / (1 - skew * (bias + z)))
        bounds.append(_quantile_each(means, at))
    return bounds[0], bounds[1]


def _quantile_each(rows: Floats, at: Floats) -> Floats:
    """A quantile of each row, each row its own."""
    import numpy as np

    ordered = np.sort(rows, axis=-1)
    index = (at * rows.shape[-1]).astype(int).clip(0, rows.shape[-1] - 1)
    return np.take_along_axis(ordered, index[:, None], axis=-1)[:, 0]


def student(values: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Student's t of the mean of each row."""
    from scipy.special import stdtrit

    number = values.shape[-1]
    half = float(stdtrit(number - 1, (1 + confidence) / 2)) / math.sqrt(number)
    mean, deviation = values.mean(axis=-1), values.std(axis=-1, ddof=1)
    return mean - half * deviation, mean + half * deviation


def of_difference(base: Floats, other: Floats, confidence: float) -> Bounds:
    """Student's t of the paired differences."""
    return student(other - base, confidence)


def of_ratio(base: Floats, other: Floats, confidence: float) -> Bounds:
    """The ratio of means with the linearised variance of a ratio estimator (Cochran, 6.4)."""
    below = base.mean(axis=-1, keepdims=True)
    ratio = other.mean(axis=-1, keepdims=True) / below
    low, high = student((other - ratio * base) / below, confidence)
    return ratio[:, 0] + low, ratio[:, 0] + high


def of_logarithms(base: Floats, other: Floats, confidence: float) -> Bounds:
    """Student's t of the logarithms of the paired ratios."""
    import numpy as np

    return student(np.log(other / base), confidence)


def signed_ranks(base: Floats, other: Floats, confidence: float) -> Bounds | None:
    """Hodges and Lehmann's (1963): the middle of all averages of two seeds' log ratios."""
    import numpy as np

    number = base.shape[-1]
    drop = _droppable(number, confidence)
    if drop is None:
        return None
    first, second = np.triu_indices(number)
    values = np.log(other / base)
    averages = np.sort((values[:, first] + values[:, second]) / 2, axis=-1)
    return averages[:, drop], averages[:, -1 - drop]


@cache
def _droppable(number: int, confidence: float) -> int | None:
    """How many averages may lie beyond each bound, by Wilcoxon's distribution; None for none."""
    import numpy as np

    chances = np.array([1.0])
    for rank in range(1, number + 1):
        longer = np.zeros(len(chances) + rank)
        longer[: len(chances)] += chances / 2
        longer[rank:] += chances / 2
        chances = longer
    allowed = int((np.cumsum(chances) <= (1 - confidence) / 2 * (1 + 1e-9)).sum())
    return allowed - 1 if allowed else None


def interpolated(base: Floats, other: Floats, confidence: float) -> Bounds | None:
    """The median's, between two order statistics (Hettmansperger and Sheather, 1986)."""
    import numpy as np

    number = base.shape[-1]
    levels = _levels(number)
    if levels[0] < confidence:
        return None
    k = max(i for i, level in enumerate(levels, start=1) if level >= confidence)
    part = (levels[k - 1] - confidence) / (levels[k - 1] - levels[k])
    part = (number - k) * part / (k + (number - 2 * k) * part)
    ordered = np.sort(other - base, axis=-1)
    low = (1 - part) * ordered[:, k - 1] + part * ordered[:, k]
    return low, (1 - part) * ordered[:, -k] + part * ordered[:, -k - 1]


def _levels(number: int) -> list[float]:
    """What the k-th lowest to the k-th highest holds, k from 1 on."""
    tails = [math.comb(number, k) / 2**number for k in range(number // 2 + 1)]
    return [1 - 2 * math.fsum(tails[:k]) for k in range(1, number // 2 + 1)]


def _mean(base: Floats, other: Floats) -> float:
    return float((other - base).mean())


def _median(base: Floats, other: Floats) -> float:
    import numpy as np

    return float(np.median(other - base))


def _ratio(base: Floats, other: Floats) -> float:
    return float(other.mean() / base.mean())


def _logarithm(base: Floats, other: Floats) -> float:
    import numpy as np

    return float(np.log(other / base).mean())


def _pseudo_median(base: Floats, other: Floats) -> float:
    """Of pairs of neighbours, which are independent."""
    import numpy as np

    values = np.log(other / base)
    return float(np.median((values[1:] + values[:-1]) / 2))


OTHERS = (
    Other("percentile bootstrap, difference of means", percentile, _mean),
    Other("BCa bootstrap, difference of means", bca, _mean),
    Other("Student's t, difference of means", of_difference, _mean),
    Other("Student's t, ratio of means", of_ratio, _ratio, positive=True),
    Other("Student's t, mean of log ratios", of_logarithms, _logarithm, positive=True),
    Other("signed ranks, log ratios", signed_ranks, _pseudo_median, positive=True),
    Other("median, interpolated between seeds", interpolated, _median),
)
