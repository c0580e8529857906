"""How often an interval holds the truth, and how often a verdict is given."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from marsbench.judge.intervals.dice import dice
from marsbench.judge.intervals.pairs import mean, side
from marsbench.judge.intervals.seeds import CONFIDENCE, FEWEST_SEEDS, dissent
from studies.coverage.families import Family, curves, equal, lognormal
from studies.coverage.others import Other, percentile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from studies.coverage.families import Draw

    Floats = NDArray[np.float64]
    Bounds = tuple[Floats, Floats] | None

DRAWS = 10_000
DRAWS_OF_OTHERS = 2_000
LARGE = 200_000
"""A sample whose median stands for the truth: it is off by three thousandths of a deviation."""
NEAR = 1e-9
"""Rounding: a share of 23/24 is the same however it was come by."""
ALPHAS = (1.5, 2.0, 3.0, 5.0, 10.0)
OURS = "typical seed"


class Row(NamedTuple):
    """How often an interval of so many seeds held the truth. None where none is given.

    above, below: how often the truth was above the interval, or below it.
    """

    family: str
    what: str
    method: str
    seeds: int
    draws: int
    held: float | None
    above: float | None
    below: float | None


def takes(family: Family) -> dict[str, Draw]:
    """What of a family has an interval; no ratio of what may be 0."""

    def difference(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, Floats]:
        base, other = family.draw(rng, shape)
        return other - base, base

    def ratio(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, Floats]:
        base, other = family.draw(rng, shape)
        return other / base, base

    found: dict[str, Draw] = {"figure": family.draw, "difference": difference}
    return found | ({"ratio": ratio} if family.kind == "time" else {})


def ours(family: Family, seeds: Sequence[int], draws: int = DRAWS) -> Iterator[Row]:
    """The interval of the typical seed: of a figure, of differences, of ratios."""
    import numpy as np

    for what, draw in takes(family).items():
        truth = float(np.median(draw(dice("truth", family.name), (1, LARGE))[0]))
        for number in seeds:
            values, _ = draw(dice("coverage", family.name, what, number), (draws, number))
            yield row((family.name, what, OURS, number), draws, truth, middles(values))


def middles(values: Floats, confidence: float = CONFIDENCE) -> Bounds:
    """`marsbench.judge.intervals.typical` of each row, all rows at once."""
    import numpy as np

    most = dissent(values.shape[-1], confidence)
    if most is None:
        return None
    ordered = np.sort(values, axis=-1)
    return ordered[:, most], ordered[:, -1 - most]


def row(key: tuple[str, str, str, int], draws: int, truth: float, bounds: Bounds) -> Row:
    """Counts on which side of each interval the truth is."""
    if bounds is None:
        return Row(*key, draws, None, None, None)
    slack = NEAR * max(1.0, abs(truth))
    above = int((bounds[1] < truth - slack).sum())
    below = int((bounds[0] > truth + slack).sum())
    return Row(*key, draws, (draws - above - below) / draws, above / draws, below / draws)


def of_curves(seeds: Sequence[int], draws: int = DRAWS_OF_OTHERS) -> Iterator[Row]:
    """Goodput at each α of a curve, one α at a time."""
    import numpy as np

    at = np.array(ALPHAS)
    truths = np.median(curves(dice("truth", "curve"), (1, LARGE // 10), at)[0], axis=0)
    for number in seeds:
        found = curves(dice("coverage", "curve", number), (draws, number), at)
        for i, alpha in enumerate(ALPHAS):
            key = (f"goodput({alpha:g}) of a curve", "figure", OURS, number)
            yield row(key, draws, float(truths[i]), middles(found[..., i]))


def others(
    family: Family, methods: Sequence[Other], seeds: Sequence[int], draws: int = DRAWS_OF_OTHERS
) -> Iterator[Row]:
    """The intervals that were tried instead."""
    base, other = (one[0] for one in family.draw(dice("truth", family.name), (1, LARGE)))
    for method in methods:
        if method.positive and family.kind != "time":
            continue
        truth = method.truth(base, other)
        for number in seeds:
            sides = family.draw(dice("others", family.name, number), (draws, number))
            bounds = method.make(*sides, CONFIDENCE)
            yield row((family.name, "", method.name, number), draws, truth, bounds)


class Said(NamedTuple):
    """How often a side was called better or worse. before: by a percentile bootstrap from
    FEWEST_SEEDS seeds on, which was the rule of 0.1.0."""

    family: str
    seeds: int
    draws: int
    now: float
    before: float


def of_equals(family: Family, seeds: Sequence[int], draws: int = DRAWS_OF_OTHERS) -> Iterator[Said]:
    """How often two sides are told apart that are the same."""
    drawn = equal(family.draw)
    for number in seeds:
        base, other = drawn(dice("equal", family.name, number), (draws, number))
        pairs = zip(base.tolist(), other.tolist(), strict=True)
        now = sum(side(*pair) != "unclear" for pair in pairs) / draws
        yield Said(family.name, number, draws, now, _before(base, other))


def _before(base: Floats, other: Floats) -> float:
    if base.shape[-1] < FEWEST_SEEDS:
        return 0.0
    low, high = percentile(base, other, CONFIDENCE)
    return float(((low > 0) | (high < 0)).mean())


def found(ratio: float, spread: float, number: int, draws: int = DRAWS_OF_OTHERS) -> float:
    """How often a side is called lower whose every seed takes `ratio` times as long, give or take
    a lognormal of this CV."""
    rng = dice("found", ratio, spread, number)
    base = lognormal(rng, 0.5, (draws, number))
    other = ratio * base * lognormal(rng, spread, (draws, number))
    pairs = zip(base.tolist(), other.tolist(), strict=True)
    return mean([side(*pair) == "lower" for pair in pairs])


def error(share: float, draws: int) -> float:
    """One standard error of a share of draws."""
    return math.sqrt(share * (1 - share) / draws)
