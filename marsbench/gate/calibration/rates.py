"""Verdicts on many draws of a few seeds: how often each, and how often the interval is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from marsbench.compare.intervals import weights
from marsbench.gate.calibration.dice import dice
from marsbench.gate.calibration.pool import Pool
from marsbench.gate.judge import change_of, verdict_of
from marsbench.gate.paired import interval
from marsbench.gate.values import CONFIDENCE, Rule, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Sides = tuple[Floats, Floats]
    Draw = Callable[[np.random.Generator], Sides]

DRAWS = 1000
BOOTSTRAP = 200


class Rate(NamedTuple):
    """A share of draws, with its Wilson interval."""

    share: float
    low: float
    high: float


class Row(NamedTuple):
    """What the gate says of `seeds` seeds. change: the true change of the pool, None for the
    draws in which there is none."""

    case: str
    figure: str
    margin: str
    seeds: int
    change: float | None
    failed: Rate
    inconclusive: Rate
    passed: Rate


class Coverage(NamedTuple):
    """How often a two-sided interval held the pool's true change; it says 90 %."""

    case: str
    figure: str
    seeds: int
    gate: Rate
    bootstrap: Rate


def slower(pool: Pool, variation: str, figure: str, seeds: int) -> Draw:
    """Some seeds of the base beside the same seeds of a variation."""
    return _drawn(pool.base(figure), pool.figures[variation][figure], seeds)


def swapped(pool: Pool, variation: str, figure: str, seeds: int) -> Draw:
    """The same, each pair turned round by a coin: noisy, and on average no change at all."""
    pick = slower(pool, variation, figure, seeds)

    def draw(rng: np.random.Generator) -> Sides:
        import numpy as np

        base, other = pick(rng)
        turned = rng.integers(0, 2, seeds).astype(bool)
        return np.where(turned, other, base), np.where(turned, base, other)

    return draw


def unpaired(pool: Pool, figure: str, seeds: int) -> Draw:
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


def coverage(pool: Pool, variation: str, rule: Rule, seeds: int) -> Coverage:
    """The gate's interval and a percentile bootstrap of the same draws against the truth."""
    import numpy as np

    rng = dice("coverage", variation, rule.figure, seeds)
    truth = pool.change(variation, rule.figure)
    draw = slower(pool, variation, rule.figure, seeds)
    shares = weights(seeds, BOOTSTRAP)
    held = [0, 0]
    for _ in range(DRAWS):
        base, other = draw(rng)
        change = change_of(base.tolist(), other.tolist(), rule)
        assert change is not None
        _, low, high = interval(change, CONFIDENCE)
        assert low is not None
        assert high is not None
        held[0] += low <= truth <= high
        tail = 1 - CONFIDENCE
        low, high = np.quantile(shares @ other / (shares @ base) - 1, [tail, 1 - tail])
        held[1] += bool(low <= truth <= high)
    return Coverage(variation, rule.figure, seeds, *(rate(count, DRAWS) for count in held))


def rate(count: int, total: int) -> Rate:
    """A share and its Wilson interval at 95 %."""
    from scipy.stats import binomtest

    bounds = binomtest(count, total).proportion_ci(method="wilson")
    return Rate(count / total, float(bounds.low), float(bounds.high))
