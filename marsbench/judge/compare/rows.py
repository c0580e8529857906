"""Estimates and differences: every figure of every point, and against the baseline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from marsbench.judge.compare.figures import AREA, Figure
from marsbench.judge.compare.kinds import TO_ALPHA
from marsbench.judge.compare.points import MatrixPoint, Pair, Place, Where, pair_of
from marsbench.judge.compare.values import Area, Difference, Estimate, OfOracle, Standing
from marsbench.judge.intervals import (
    UNKNOWN,
    differences,
    digits,
    mean,
    ratios,
    side,
    typical,
)

ORACLE = "oracle"
Points = Sequence[MatrixPoint]


def estimates_of(points: Points, confidence: float) -> Iterator[Estimate]:
    """Every figure of every point, ranked among the points of its place."""
    ranks = _ranks(points)
    for point in points:
        for figure in point.figures:
            values = point.values(figure)
            yield Estimate(
                *point.where,
                figure,
                mean(values) if values else None,
                typical(values, confidence) if values else UNKNOWN,
                min(values) if values else None,
                max(values) if values else None,
                len(point.seeds),
                ranks.get((point.where, figure)),
            )


def _ranks(points: Points) -> dict[tuple[Where, Figure], int]:
    """1 + how many backends of the place are better; equals share a rank."""
    by_figure: defaultdict[tuple[Place, Figure], dict[str, float]] = defaultdict(dict)
    for point in points:
        for figure in point.figures:
            value = point.mean(figure)
            if value is not None and figure.better is not None:
                sign = -1 if figure.better == "higher" else 1
                by_figure[point.place, figure][point.backend] = sign * digits(value)
    return {
        ((place, backend), figure): 1 + sum(other < value for other in values.values())
        for (place, figure), values in by_figure.items()
        for backend, value in values.items()
    }


def areas_of(points: Points, confidence: float) -> Iterator[Area]:
    """The area under goodput against α of every point."""
    for point in points:
        middle = typical(point.values(AREA) or (), confidence)
        yield Area(*point.where, TO_ALPHA, point.mean(AREA), middle)


def differences_of(points: Points, baseline: str, confidence: float) -> Iterator[Difference]:
    """Every backend against the baseline of its place, figure by figure."""
    for pair in _pairs(points, baseline):
        for figure in pair.base.figures:
            yield _difference(pair, figure, confidence)


def of_oracle(points: Points, figure: Figure, confidence: float) -> Iterator[OfOracle]:
    """The ratio of a figure to the oracle's, where the oracle was played."""
    for pair in _pairs(points, ORACLE):
        if pair.sides(figure) is not None:
            row = _difference(pair, figure, confidence)
            yield OfOracle(*pair.other.where, row.ratio, row.typical_ratio)


def _pairs(points: Points, baseline: str) -> Iterator[Pair]:
    """The points of a place beside its baseline, with the seeds that both have."""
    bases = {point.place: point for point in points if point.backend == baseline}
    for point in points:
        base = bases.get(point.place)
        pair = None if base is None or base is point else pair_of(base, point)
        if pair is not None:
            yield pair


def _difference(pair: Pair, figure: Figure, confidence: float) -> Difference:
    head = (*pair.other.where, pair.base.backend, figure)
    seeds, sides = len(pair.other.seeds), pair.sides(figure)
    if sides is None:
        return Difference(*head, None, None, UNKNOWN, UNKNOWN, None, None, "unclear", None, seeds)
    below, above = mean(sides[0]), mean(sides[1])
    apart, times = differences(*sides), ratios(*sides) or []
    return Difference(
        *head,
        difference=above - below,
        ratio=above / below if below else None,
        typical_difference=typical(apart, confidence),
        typical_ratio=typical(times, confidence),
        lowest_ratio=min(times, default=None),
        highest_ratio=max(times, default=None),
        standing=standing(figure, *sides, confidence),
        ahead=_ahead(figure, apart),
        seeds=seeds,
    )


def _ahead(figure: Figure, apart: Sequence[float]) -> int | None:
    """The seeds in which the other is better."""
    if figure.better is None:
        return None
    sign = 1 if figure.better == "higher" else -1
    return sum(sign * difference > 0 for difference in apart)


def standing(
    figure: Figure, base: Sequence[float], other: Sequence[float], confidence: float
) -> Standing:
    """Better or worse than the baseline, where its side is clear and one of them is good."""
    better, lies = figure.better, side(base, other, confidence)
    if better is None or lies == "unclear":
        return "unclear"
    return "better" if lies == better else "worse"
