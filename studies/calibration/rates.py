"""Verdicts on many draws of a few seeds: how often each, and how often intervals are right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
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

DRAWS = 4000
"""With 1,000 the interval around the sign test's own 3.5 % of eight seeds reaches beyond 5 %."""
PAIRED, COIN, OTHERS = "paired", "sides swapped by a coin", "other seeds, unpaired"
"""How seeds are drawn."""


class Rate(NamedTuple):
    """A share of draws, with its Wilson interval."""

    share: float
    low: float
    high: float


class Row(NamedTuple):
    """What the gate says of `seeds` seeds of a pool.

    case: what stands beside the base, drawn in one of three ways (`how`). change: the true change
    of the pool, None for the draws in which there is none.
    """

    pool: Pool
    case: str
    how: str
    figure: Figure
    margin: str
    seeds: int
    change: float | None
    failed: Rate
    inconclusive: Rate
    passed: Rate

    @property
    def check(self) -> tuple[str, Figure, str]:
        """What is judged, whatever was done to it, and by how many seeds."""
        return self.pool.title, self.figure, self.margin


class Coverage(NamedTuple):
    """How often a two-sided interval held the pool's true change; it says 90 %.

    gate: the typical seed's, None where there are too few seeds. student, bootstrap: of the ratio
    of means.
    """

    pool: Pool
    figure: Figure
    seeds: int
    gate: Rate | None
    student: Rate
    bootstrap: Rate


def paired(pool: Pool, case: str, figure: Figure, seeds: int) -> Draw:
    """Some seeds of the base beside the same seeds of a case.

    With replacement, as of the seeds that there are: without, a pool that has one odd seed among
    twenty would never show two.
    """
    base, other = pool.base(figure), pool.figures[case][figure]

    def draw(rng: np.random.Generator) -> Sides:
        taken = rng.integers(0, len(base), seeds)
        return base[taken], other[taken]

    return draw


def swapped(pool: Pool, case: str, figure: Figure, seeds: int) -> Draw:
    """The same, each pair turned round by a coin: noisy, and on average no change at all."""
    pick = paired(pool, case, figure, seeds)

    def draw(rng: np.random.Generator) -> Sides:
        import numpy as np

        base, other = pick(rng)
        turned = rng.integers(0, 2, seeds).astype(bool)
        return np.where(turned, other, base), np.where(turned, base, other)

    return draw


def unpaired(pool: Pool, case: str, figure: Figure, seeds: int) -> Draw:
    """Some seeds of a case, each beside another of its own: no change, and no pairing."""
    column = pool.figures[case][figure]

    def draw(rng: np.random.Generator) -> Sides:
        taken = rng.integers(0, len(column), seeds)
        others = (taken + rng.integers(1, len(column), seeds)) % len(column)
        return column[taken], column[others]

    return draw


def row(pool: Pool, case: str, rule: Rule, seeds: int, how: str = PAIRED) -> Row:
    """Verdicts on DRAWS draws."""
    draw = _DRAWS[how](pool, case, rule.figure, seeds)
    rng = dice(pool.title, case, how, rule.figure, seeds)
    counts: Counter[Verdict] = Counter()
    for _ in range(DRAWS):
        base, other = draw(rng)
        counts[verdict_of(base.tolist(), other.tolist(), rule, CONFIDENCE)] += 1
    rates = [rate(counts[verdict], DRAWS) for verdict in ("fail", "inconclusive", "pass")]
    is_worse = how == PAIRED and case in pool.regressions
    change = pool.change(case, rule.figure) if is_worse else None
    return Row(pool, case, how, rule.figure, str(rule.margin), seeds, change, *rates)


_DRAWS: Mapping[str, Callable[[Pool, str, Figure, int], Draw]] = {
    PAIRED: paired,
    COIN: swapped,
    OTHERS: unpaired,
}


def coverage(pool: Pool, case: str, figure: Figure, seeds: int) -> Coverage:
    """The gate's interval, Student's t and a percentile bootstrap against the truth of each."""
    import numpy as np

    base, other = pool.base(figure), pool.figures[case][figure]
    taken = dice("coverage", pool.title, case, figure, seeds).integers(0, len(base), (DRAWS, seeds))
    own, theirs = base[taken], other[taken]
    confidence, truth = two_sided(CONFIDENCE), pool.change(case, figure)
    middle = middles(theirs / own - 1, confidence)
    tail = (1 - confidence) / 2
    drawn = np.quantile(resampled(theirs) / resampled(own), [tail, 1 - tail], axis=-1)
    student = of_ratio(own, theirs, confidence)
    return Coverage(
        pool,
        figure,
        seeds,
        None if middle is None else _held(middle, pool.typical(case, figure)),
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
