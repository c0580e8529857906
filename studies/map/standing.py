"""Who is best in a cell of the map, and by how much the others are worse."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from marsbench.judge.compare.figures import GOODPUT, LATENCY
from marsbench.judge.compare.points import Matrix, MatrixPoint, Place, pair_of
from marsbench.judge.compare.ranking import LEVEL_GOODPUT, LEVEL_LATENCY
from marsbench.judge.intervals import mean
from studies.map.worlds import World

CAP = "fcfs-cap"
_CAPPED = re.compile(rf"{CAP}-(\d+)")


class Regret(NamedTuple):
    """How much worse than the best a backend is, over the seeds that both have.

    times: mean latency ÷ that of the best. low, high: of the seeds; None of a single one.
    points: goodput(3) of the best less its own, a share.
    """

    times: float
    low: float | None
    high: float | None
    points: float
    seeds: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A cell of the map. contenders: the schedulers, the best cap of those tried among them.

    best: the lowest mean latency of those within 5 points of the highest goodput(3), of those that
    have all the cell's seeds. level: those that are behind it by less than 5 % as well.
    agreeing: of its seeds, those in which the same one is best.
    """

    place: Place
    world: World
    points: Mapping[str, MatrixPoint]
    contenders: tuple[str, ...]
    cap: str | None
    best: str
    level: tuple[str, ...]
    regrets: Mapping[str, Regret]
    seeds: int
    agreeing: int

    @property
    def sure(self) -> str:
        """ "one seed", "3 of 3 seeds"."""
        return "one seed" if self.seeds == 1 else f"{self.agreeing} of {self.seeds} seeds"

    @property
    def accepted(self) -> tuple[str, ...]:
        """The best and who is level with it: any of them is a right answer."""
        return (self.best, *self.level)


class Score(NamedTuple):
    """What decides."""

    goodput: float
    latency_s: float


def standing(matrix: Matrix, place: Place, world: World, among: Collection[str]) -> Standing | None:
    """Who is best at a place, of these backends; None where nobody has the figures."""
    points = {p.backend: p for p in matrix.here(place) if score(p) is not None}
    cap = best_cap([p for name, p in points.items() if _CAPPED.fullmatch(name)])
    shown = {**{n: p for n, p in points.items() if not _CAPPED.fullmatch(n)}}
    if cap is not None:
        shown[CAP] = cap
    contenders = tuple(name for name in shown if name in among)
    if not contenders:
        return None
    seeds = max(len(shown[name].seeds) for name in contenders)
    whole = [name for name in contenders if len(shown[name].seeds) == seeds]
    best, *level = leading({name: _score(shown[name]) for name in whole})
    return Standing(
        place=place,
        world=world,
        points=shown,
        contenders=contenders,
        cap=None if cap is None else cap.backend,
        best=best,
        level=tuple(level),
        regrets={name: regret(shown[best], point) for name, point in shown.items()},
        seeds=seeds,
        agreeing=_agreeing({name: shown[name] for name in whole}, best),
    )


def score(point: MatrixPoint) -> Score | None:
    """Means over its seeds; None where one was not measured."""
    goodput, latency = point.mean(GOODPUT), point.mean(LATENCY)
    return None if goodput is None or latency is None else Score(goodput, latency)


def _score(point: MatrixPoint) -> Score:
    found = score(point)
    assert found is not None
    return found


def leading(scores: Mapping[str, Score]) -> list[str]:
    """The best, and those that are level with it, by latency."""
    highest = max(one.goodput for one in scores.values())
    near = {n: one for n, one in scores.items() if one.goodput >= highest - LEVEL_GOODPUT}
    lowest = min(one.latency_s for one in near.values())
    level = [n for n, one in near.items() if one.latency_s <= lowest * (1 + LEVEL_LATENCY)]
    return sorted(level, key=lambda name: (near[name].latency_s, name))


def best_cap(points: Sequence[MatrixPoint]) -> MatrixPoint | None:
    """The best of the fixed caps that were tried; those that fell out have fewer seeds."""
    seeds = max((len(point.seeds) for point in points), default=0)
    whole = {point.backend: point for point in points if len(point.seeds) == seeds}
    if not whole:
        return None
    return whole[leading({name: _score(point) for name, point in whole.items()})[0]]


def caps_tried(points: Iterable[str]) -> list[int]:
    """The caps among these labels, in ascending order."""
    return sorted(int(found[1]) for name in points if (found := _CAPPED.fullmatch(name)))


def regret(best: MatrixPoint, own: MatrixPoint) -> Regret:
    """Over the seeds that both have: all have the first."""
    pair = pair_of(best, own)
    assert pair is not None
    base, other = _score(pair.base), _score(pair.other)
    sides = pair.sides(LATENCY)
    each = [] if sides is None else [b / a for a, b in zip(*sides, strict=True)]
    several = len(each) > 1
    return Regret(
        times=other.latency_s / base.latency_s,
        low=min(each) if several else None,
        high=max(each) if several else None,
        points=base.goodput - other.goodput,
        seeds=len(each),
    )


def _agreeing(points: Mapping[str, MatrixPoint], best: str) -> int:
    """In how many seeds the best of all is the best, or level with the one that is."""
    return sum(
        best in leading({name: _score(point.only({seed})) for name, point in points.items()})
        for seed in points[best].seeds
    )


def mean_regret(standings: Sequence[Standing], name: str) -> tuple[float, float] | None:
    """Mean and highest times of a backend over the cells; None where it is not in all of them."""
    own = [one.regrets[name].times for one in standings if name in one.regrets]
    return (mean(own), max(own)) if own and len(own) == len(standings) else None
