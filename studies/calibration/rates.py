"""Verdicts on many draws of a few seeds: how often each, and how often intervals are right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from marsbench.judge.compare.figures import Figure
from marsbench.judge.gate.change import two_sided
from marsbench.judge.gate.judge import verdict_of
from marsbench.judge.gate.values import CONFIDENCE, Rule, Verdict
from studies.calibration.dice import dice
from studies.calibration.pool import Pool
from studies.coverage.measure import middles
from studies.coverage.others import of_ratio, resampled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Sides = tuple[Floats, Floats]
    Draw = Callable[[np.random.Generator], Sides]

DRAWS = 1000


class Rate(NamedTuple):
    """A share of draws, with its Wilson interval."""

    share: float
    low: float
    high: float


class Row(NamedTuple):
    """What the gate says of `seeds` seeds. change: the true change of the pool, None for the
    draws in which there is none."""

    case: str
    figure: Figure
    margin: str
    seeds: int
    change: float | None
    failed: Rate
    inconclusive: Rate
    passed: Rate


class Coverage(NamedTuple):
    """How often a two-sided interval held the pool's true change; it says 90 %.

    gate: the typical seed's, None where there are too few seeds. student, bootstrap: of the ratio
    of means.
    """

    case: str
    figure: Figure
    seeds: int
    gate: Rate | None
    student: Rate
    bootstrap: Rate


def slower(pool: Pool, variation: str, figure: Figure, seeds: int) -> Draw:
    """Some seeds of the base beside the same seeds of a variation."""
    return _drawn(pool.base(figure), pool.figures[variation][figure], seeds)


def swapped(pool: Pool, variation: str, figure: Figure, seeds: int) -> Draw:
    """The same, each pair turned round by a coin: noisy, and on average no change at all."""
    pick = slower(pool, variation, figure, seeds)

    def draw(rng: np.random.Generator) -> Sides:
        import numpy as np

        base, other = pick(rng)
        turned = rng.integers(0, 2, seeds).astype(bool)
        return np.where(turned, other, base), np.where(turned, base, other)

    return draw


def unpaired(pool: Pool, figure: Figure, seeds: int) -> Draw:
    """Some seeds of the base beside other seeds of the base: no change, and no pairing."""
    column = pool.base(figure)

    def draw(rng: np.random.Generator) -> Sides:
        taken = rng.permutation(len(column))[: 2 * seeds]
        return column[taken[:seeds]], column[taken[seeds:]]

    return draw


def _drawn(base: Floats, other: Floats, seeds: int) -> Draw:
    def draw(rng: np.random.Generator) -> Sides:
        taken = rng.permutation(len(base))[:seeds]
        return base[taken], other[taken]

    return draw


def row(case: str, rule: Rule, seeds: int, draw: Draw, change: float | None) -> Row:
    """Verdicts on DRAWS draws."""
    rng = dice(case, rule.figure, seeds)
    counts: Counter[Verdict] = Counter()
    for _ in range(DRAWS):
        base, other = draw(rng)
        counts[verdict_of(base.tolist(), other.tolist(), rule, CONFIDENCE)] += 1
    rates = [rate(counts[verdict], DRAWS) for verdict in ("fail", "inconclusive", "pass")]
    return Row(case, rule.figure, str(rule.margin), seeds, change, *rates)


def coverage(pool: Pool, variation: str, figure: Figure, seeds: int) -> Coverage:
    """The gate's interval, Student's t and a percentile bootstrap against the truth of each.

    Seeds are drawn with replacement: the pool stands for all seeds that there are.
    """
    import numpy as np

    base, other = pool.base(figure), pool.figures[variation][figure]
    taken = dice("coverage", variation, figure, seeds).integers(0, len(base), (DRAWS, seeds))
    own, theirs = base[taken], other[taken]
    confidence, truth = two_sided(CONFIDENCE), pool.change(variation, figure)
    middle = middles(theirs / own - 1, confidence)
    tail = (1 - confidence) / 2
    drawn = np.quantile(resampled(theirs) / resampled(own), [tail, 1 - tail], axis=-1)
    student = of_ratio(own, theirs, confidence)
    return Coverage(
        variation,
        figure,
        seeds,
        None if middle is None else _held(middle, pool.typical(variation, figure)),
        _held(student, 1 + truth),
        _held((drawn[0], drawn[1]), 1 + truth),
    )


def _held(bounds: Sides, truth: float) -> Rate:
    """How many of the intervals hold it, their very ends too."""
    near = 1e-9
    inside = (bounds[0] <= truth + near) & (truth - near <= bounds[1])
    return rate(int(inside.sum()), len(inside))


def rate(count: int, total: int) -> Rate:
    """A share and its Wilson interval at 95 %."""
    from scipy.stats import binomtest

    bounds = binomtest(count, total).proportion_ci(method="wilson")
    return Rate(count / total, float(bounds.low), float(bounds.high))
