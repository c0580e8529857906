"""Who is ahead, and whether that holds elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, groupby
from typing import Any, NamedTuple

from marsbench.judge.compare.figures import GOODPUT, LATENCY, Figure
from marsbench.judge.compare.points import Matrix, Place
from marsbench.judge.intervals import digits

# Closer than this in both, two backends are level, and which is named first means nothing.
LEVEL_GOODPUT, LEVEL_LATENCY = 0.05, 0.05


Order = tuple[tuple[str, ...], ...]
"""Backends, best first; those of one group are equal."""


class Score(NamedTuple):
    """What a backend is ranked by: the share of sessions within 3 times alone, mean latency."""

    goodput: float
    latency_s: float


def standings(matrix: Matrix, place: Place, good: Figure = GOODPUT) -> dict[str, Score]:
    """Every backend of a place that has both figures; `good` names the goodput that ranks."""
    found = {}
    for point in matrix.here(place):
        goodput, latency = point.mean(good), point.mean(LATENCY)
        if goodput is not None and latency is not None:
            found[point.backend] = Score(goodput, latency)
    return found


def ranking(standing: Mapping[str, Score]) -> Order:
    """Best first: by goodput(3); the lower mean latency between equal ones. Who is equal in both
    stands in one group, by name."""
    ordered = sorted(standing, key=lambda name: (_key(standing[name]), name))
    return tuple(
        tuple(names) for _, names in groupby(ordered, key=lambda name: _key(standing[name]))
    )


def _key(one: Score) -> tuple[float, float]:
    return -digits(one.goodput), digits(one.latency_s)


def told(order: Order) -> str:
    """ "mars > fcfs = fcfs-cap": an equals sign between those that are equal."""
    return " > ".join(" = ".join(names) for names in order)


def is_ahead(a: Score, b: Score) -> bool:
    """Clearly so: by goodput; by latency where goodput is level."""
    if abs(a.goodput - b.goodput) > LEVEL_GOODPUT:
        return a.goodput > b.goodput
    return a.latency_s * (1 + LEVEL_LATENCY) < b.latency_s


def turned(base: Mapping[str, Score], other: Mapping[str, Score]) -> list[tuple[str, str]]:
    """Pairs (a, b): a clearly ahead in `base`, and b clearly ahead in `other`."""
    names = [name for level in ranking(base) for name in level if name in other]
    return [
        (a, b)
        for first, second in combinations(names, 2)
        for a, b in ((first, second), (second, first))
        if is_ahead(base[a], base[b]) and is_ahead(other[b], other[a])
    ]


class HeldRanking(NamedTuple):
    """A place next to the one that it is held against: both rankings, and the pairs that turned."""

    base: Place
    other: Place
    base_ranking: Order
    other_ranking: Order
    turned: list[tuple[str, str]]

    @property
    def verdict(self) -> str:
        """ "held", "winner held" when only others changed places, or "turned"."""
        if not self.turned:
            return "held"
        winners = set(self.base_ranking[0])
        return "turned" if any(winners & set(pair) for pair in self.turned) else "winner held"


def held(matrix: Matrix, dimension: str, good: Figure = GOODPUT) -> list[HeldRanking]:
    """Each place against the one that has the dimension's first value and is else the same."""
    first: Any = _values(matrix.places, dimension)[0]
    rows = []
    for place in matrix.places:
        base = place._replace(**{dimension: first})
        if place != base and base in matrix.places:
            own, others = standings(matrix, base, good), standings(matrix, place, good)
            pairs = turned(own, others)
            rows.append(HeldRanking(base, place, ranking(own), ranking(others), pairs))
    return rows


def varied(matrix: Matrix) -> list[str]:
    """The dimensions beside workload and load that have several values."""
    return [
        name
        for name in ("engine", "variation", "hardware", "replicas", "router")
        if len(_values(matrix.places, name)) > 1
    ]


def _values(places: Sequence[Place], dimension: str) -> list[Any]:
    return list(dict.fromkeys(getattr(place, dimension) for place in places))
