"""The matrix as points: a backend at one place, its seeds put together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from marsbench.judge.compare.figures import Figure, Figures
from marsbench.judge.intervals import digits, mean
from marsbench.judge.sweep.folder import Result
from marsbench.text.words import mix_in, with_tools

Seed = int | None


class Place(NamedTuple):
    """Where a point stands, its backend apart. `load` is None where the file gave a rate.

    tools: the mix that its pauses are drawn from, and that of its tenants where it has any; None
        where the sessions were recorded.
    replicas, router: None where one engine played.
    """

    workload: str
    load: float | None
    rate: float | None
    hardware: str
    engine: str
    variation: str
    model: str
    tools: str | None = None
    replicas: int | None = None
    router: str | None = None

    @property
    def title(self) -> str:
        """ "ilr-1 at load 0.9, 4 replicas behind dynamo, tools autonomous": a figure holds for its
        mix of tools alone.
        """
        at = self.workload
        if self.load is not None:
            at = f"{at} at load {self.load:g}"
        elif self.rate is not None:
            at = f"{at} at {self.rate:g}/s"
        return with_tools(", ".join(filter(None, [at, self.fleet])), self.tools)

    @property
    def fleet(self) -> str:
        """ "4 replicas behind dynamo"; empty where one engine played."""
        several = "" if self.replicas is None else f"{self.replicas} replicas"
        behind = "" if self.router is None else f"behind {self.router}"
        return f"{several} {behind}".strip()


DIMENSIONS = {
    "workload": ("workload", "load", "rate", "tools"),
    "engine": ("engine",),
    "hardware": ("hardware", "model", "variation"),
    "replicas": ("replicas",),
    "router": ("router",),
}
"""What a comparison may be told to look across: the fields of a place that belong to each."""
Where = tuple[Place, str]
"""A place and a backend: the first two fields of every row of a comparison."""


def place_of(result: Result) -> Place:
    """Where a run stands, its backend and seed apart."""
    model = str(result.summary["hardware"].get("model", ""))
    several: dict[str, Any] = {n: result.place.get(n) for n in ("replicas", "router")}
    given = [name for name in Place._fields if name not in ("model", "tools", *several)]
    own = {name: result.place[name] for name in given}
    return Place(**own, model=model, tools=_mix(result), **several)


def _mix(result: Result) -> str | None:
    """The mix; None where sessions were recorded, of which any `meta` may say anything."""
    return mix_in(result.run.config.workload_meta)


class Spread(NamedTuple):
    """The mean over seeds, the lowest and the highest; None where a seed has no number."""

    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class MatrixPoint:
    """A backend at a place: the figures of its runs, in ascending order of their seeds."""

    place: Place
    backend: str
    seeds: tuple[Seed, ...]
    runs: tuple[Figures, ...]

    @property
    def where(self) -> Where:
        return self.place, self.backend

    @property
    def figures(self) -> list[Figure]:
        """Every figure that one of the runs has."""
        return list(dict.fromkeys(figure for run in self.runs for figure in run))

    def values(self, figure: Figure) -> list[float] | None:
        """A figure of every seed; None when one has none, for the others are then no sample."""
        found = [run.get(figure) for run in self.runs]
        return None if None in found or not found else cast("list[float]", found)

    def spread(self, figure: Figure) -> Spread:
        """Mean, lowest, highest over the seeds."""
        values = self.values(figure)
        if values is None:
            return Spread(None, None, None)
        return Spread(mean(values), min(values), max(values))

    def mean(self, figure: Figure) -> float | None:
        """The mean of a figure over the seeds."""
        return self.spread(figure).mean

    def only(self, seeds: Collection[Seed]) -> MatrixPoint:
        """The same with these seeds alone."""
        pairs = zip(self.seeds, self.runs, strict=True)
        kept = tuple((seed, run) for seed, run in pairs if seed in seeds)
        return MatrixPoint(
            self.place, self.backend, tuple(s for s, _ in kept), tuple(run for _, run in kept)
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """Two points with the seeds that both have, in one order."""

    base: MatrixPoint
    other: MatrixPoint

    def sides(self, figure: Figure) -> tuple[list[float], list[float]] | None:
        """A figure of both, a number a seed each; None where a seed has none."""
        base, other = self.base.values(figure), self.other.values(figure)
        return None if base is None or other is None else (base, other)


def pair_of(base: MatrixPoint, other: MatrixPoint) -> Pair | None:
    """The two paired by seed; None where they have none in common."""
    seeds = set(base.seeds) & set(other.seeds)
    return Pair(base.only(seeds), other.only(seeds)) if seeds else None


def points_of(runs: Iterable[tuple[Where, Seed, Figures]]) -> list[MatrixPoint]:
    """One point for each backend at each place, in the order in which they first come."""
    groups: defaultdict[Where, list[tuple[Seed, Figures]]] = defaultdict(list)
    for where, seed, figures in runs:
        groups[where].append((seed, figures))
    points = []
    for where, own in groups.items():
        seeds, figures_ = zip(*sorted(own, key=lambda run: by_seed(run[0])), strict=True)
        points.append(MatrixPoint(*where, seeds, figures_))
    return points


def by_seed(seed: Seed) -> tuple[bool, int]:
    """The key of their ascending order; a run without a seed comes first."""
    return seed is not None, seed or 0


class Best(NamedTuple):
    """The lowest mean of a figure, and all that have it, in the order of the sweep."""

    names: tuple[str, ...]
    value: float

    @property
    def told(self) -> str:
        """ "fcfs = autellix"."""
        return " = ".join(self.names)


class Matrix:
    """Points by place and backend; regimes by name, each from its lightest load on."""

    def __init__(self, points: Sequence[MatrixPoint]) -> None:
        self.points = points
        places = dict.fromkeys(point.place for point in points)
        self.places = sorted(
            places,
            key=lambda p: (
                p.workload,
                p.tools or "",
                p.load or 0.0,
                p.rate or 0.0,
                p.replicas or 1,
            ),
        )
        self.backends = list(dict.fromkeys(point.backend for point in points))
        self._by_key = {point.where: point for point in points}

    @property
    def ordered(self) -> list[MatrixPoint]:
        """The points place by place, backends in the order of the sweep."""
        return [point for place in self.places for point in self.here(place)]

    def at(self, place: Place, backend: str) -> MatrixPoint | None:
        """The point, if it was measured."""
        return self._by_key.get((place, backend))

    def value(self, place: Place, backend: str, figure: Figure) -> float | None:
        """The mean of a figure there; None when it was not measured."""
        point = self.at(place, backend)
        return None if point is None else point.mean(figure)

    def title(self, place: Place) -> str:
        """ "ilr-1 at load 0.9, tools autonomous", with those dimensions that differ."""
        dimensions = ("hardware", "engine", "variation")
        many = [name for name in dimensions if len({getattr(p, name) for p in self.places}) > 1]
        return ", ".join([place.title, *(getattr(place, name) for name in many)])

    def here(self, place: Place) -> list[MatrixPoint]:
        """All backends at a place, in the order of the sweep."""
        return [point for name in self.backends if (point := self.at(place, name)) is not None]

    def best(self, place: Place, among: Iterable[str], figure: Figure) -> Best | None:
        """The backends with the lowest mean of a figure, and that mean; None when none has one."""
        values = {name: self.value(place, name, figure) for name in among}
        known = {name: value for name, value in values.items() if value is not None}
        if not known:
            return None
        lowest = min(known.values())
        names = (name for name, value in known.items() if digits(value) == digits(lowest))
        return Best(tuple(names), lowest)

    def ratio(self, place: Place, figure: Figure, of: str, to: str) -> float | None:
        """How many times as large a figure is under one backend as under another."""
        above, below = self.value(place, of, figure), self.value(place, to, figure)
        return None if above is None or not below else above / below
