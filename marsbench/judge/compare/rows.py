"""Estimates and differences: every figure of every point, and against the baseline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from marsbench.judge.compare.figures import AREA, Figure
from marsbench.judge.compare.kinds import TO_ALPHA
from marsbench.judge.compare.points import MatrixPoint, Place
from marsbench.judge.compare.values import Area, Difference, Estimate, OfOracle, Standing
from marsbench.judge.intervals import (
    UNKNOWN,
    Interval,
    differences,
    digits,
    mean,
    ratios,
    side,
    typical,
)

ORACLE = "oracle"

Sides = tuple[list[float], list[float]]
"""A figure of the baseline and of the other, a number for each seed that both have."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Points in the order of their places, and what they are held against."""

    points: Sequence[MatrixPoint]
    baseline: str
    confidence: float

    def estimates(self) -> Iterator[Estimate]:
        """Every figure of every point, ranked among the points of its place."""
        ranks = self._ranks()
        for point in self.points:
            for figure in point.figures:
                values = point.values(figure)
                yield Estimate(
                    point.place,
                    point.backend,
                    figure,
                    mean(values) if values else None,
                    typical(values, self.confidence) if values else UNKNOWN,
                    min(values) if values else None,
                    max(values) if values else None,
                    len(point.seeds),
                    ranks.get((point.place, point.backend, figure)),
                )

    def _ranks(self) -> dict[tuple[Place, str, Figure], int]:
        """1 + how many backends of the place are better; equals share a rank."""
        by_figure: defaultdict[tuple[Place, Figure], dict[str, float]] = defaultdict(dict)
        for point in self.points:
            for figure in point.figures:
                values = point.values(figure)
                if values:
                    by_figure[point.place, figure][point.backend] = digits(mean(values))
        return {
            (place, backend, figure): 1 + sum(_better(figure, v, value) for v in values.values())
            for (place, figure), values in by_figure.items()
            if figure.better is not None
            for backend, value in values.items()
        }

    def differences(self) -> Iterator[Difference]:
        """Every backend against the baseline of its place, figure by figure."""
        for base, other in self._pairs(self.baseline):
            for figure in base.figures:
                sides = _sides(base, other, figure)
                yield _difference(base, other, figure, sides, self.confidence)

    def of_oracle(self, figure: Figure) -> Iterator[OfOracle]:
        """The ratio of a figure to the oracle's, where the oracle was played."""
        for base, other in self._pairs(ORACLE):
            sides = _sides(base, other, figure)
            if sides is not None:
                middle = _typical_ratio(sides, self.confidence)
                yield OfOracle(other.place, other.backend, _ratio(sides), middle)

    def areas(self) -> Iterator[Area]:
        """The area under goodput against α of every point."""
        for point in self.points:
            values = point.values(AREA)
            middle = typical(values, self.confidence) if values else UNKNOWN
            yield Area(*point.where, TO_ALPHA, mean(values) if values else None, middle)

    def _pairs(self, baseline: str) -> Iterator[tuple[MatrixPoint, MatrixPoint]]:
        """The points of a place beside its baseline, with the seeds that both have."""
        bases = {point.place: point for point in self.points if point.backend == baseline}
        for point in self.points:
            base = bases.get(point.place)
            seeds = set(base.seeds) & set(point.seeds) if base is not None else set()
            if base is not None and base is not point and seeds:
                yield base.only(seeds), point.only(seeds)


def _sides(base: MatrixPoint, other: MatrixPoint, figure: Figure) -> Sides | None:
    own, theirs = base.values(figure), other.values(figure)
    return None if own is None or theirs is None else (own, theirs)


def _difference(
    base: MatrixPoint, other: MatrixPoint, figure: Figure, sides: Sides | None, confidence: float
) -> Difference:
    lowest, highest = _ends(sides)
    return Difference(
        place=other.place,
        backend=other.backend,
        baseline=base.backend,
        figure=figure,
        difference=None if sides is None else mean(sides[1]) - mean(sides[0]),
        ratio=_ratio(sides),
        typical_difference=_typical_difference(sides, confidence),
        typical_ratio=_typical_ratio(sides, confidence),
        lowest_ratio=lowest,
        highest_ratio=highest,
        standing="unclear" if sides is None else standing(figure, *sides, confidence),
        ahead=_ahead(figure, sides),
        seeds=len(other.seeds),
    )


def _ratio(sides: Sides | None) -> float | None:
    if sides is None:
        return None
    below = mean(sides[0])
    return mean(sides[1]) / below if below else None


def _typical_difference(sides: Sides | None, confidence: float) -> Interval:
    return UNKNOWN if sides is None else typical(differences(*sides), confidence)


def _typical_ratio(sides: Sides | None, confidence: float) -> Interval:
    found = None if sides is None else ratios(*sides)
    return UNKNOWN if found is None else typical(found, confidence)


def _ends(sides: Sides | None) -> tuple[float | None, float | None]:
    """The lowest and the highest ratio of a seed."""
    found = None if sides is None else ratios(*sides)
    return (None, None) if found is None else (min(found), max(found))


def _ahead(figure: Figure, sides: Sides | None) -> int | None:
    """The seeds in which the other is better."""
    better = figure.better
    if better is None or sides is None:
        return None
    sign = 1 if better == "higher" else -1
    return sum(sign * apart > 0 for apart in differences(*sides))


def _better(figure: Figure, a: float, b: float) -> bool:
    return a > b if figure.better == "higher" else a < b


def standing(
    figure: Figure, base: Sequence[float], other: Sequence[float], confidence: float
) -> Standing:
    """Better or worse than the baseline, where its side is clear and one of them is good."""
    better, found = figure.better, side(base, other, confidence)
    if better is None or found == "unclear":
        return "unclear"
    return "better" if found == better else "worse"
