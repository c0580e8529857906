"""The matrix as points: a backend at one place, its seeds put together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from marsbench.judge.compare.figures import Figures, figures_of
from marsbench.judge.intervals import digits, mean
from marsbench.judge.sweep.folder import Result


class Place(NamedTuple):
    """Where a point stands, its backend apart. `load` is None where the file gave a rate."""

    workload: str
    load: float | None
    rate: float | None
    hardware: str
    engine: str
    variation: str
    model: str

    @property
    def title(self) -> str:
        """ "ilr-1 at load 0.9"."""
        if self.load is not None:
            return f"{self.workload} at load {self.load:g}"
        return self.workload if self.rate is None else f"{self.workload} at {self.rate:g}/s"


class Spread(NamedTuple):
    """The mean over seeds, the lowest and the highest; None where a seed has no number."""

    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """A backend at a place; `seeds` runs stand behind its figures."""

    place: Place
    backend: str
    seeds: int
    figures: dict[str, Spread]

    def mean(self, figure: str) -> float | None:
        """The mean of a figure over the seeds."""
        spread = self.figures.get(figure)
        return None if spread is None else spread.mean


def points_of(results: Iterable[Result]) -> list[Point]:
    """One point for each backend at each place, in the order of the sweep."""
    return gathered((place_of(r), str(r.place["backend"]), figures_of(r)) for r in results)


def gathered(runs: Iterable[tuple[Place, str, Figures]]) -> list[Point]:
    """The runs of each place and backend as one point, in the order in which they first come."""
    groups: defaultdict[tuple[Place, str], list[Figures]] = defaultdict(list)
    for place, backend, figures in runs:
        groups[place, backend].append(figures)
    return [
        Point(place, backend, len(runs), _together(runs))
        for (place, backend), runs in groups.items()
    ]


def place_of(result: Result) -> Place:
    """Where a run stands, its backend and seed apart."""
    own = result.place
    return Place(
        workload=own["workload"],
        load=own["load"],
        rate=own["rate"],
        hardware=own["hardware"],
        engine=own["engine"],
        variation=own["variation"],
        model=str(result.summary["hardware"].get("model", "")),
    )


def _together(runs: Sequence[Figures]) -> dict[str, Spread]:
    return {name: spread([run.get(name) for run in runs]) for name in runs[0]}


def spread(values: Sequence[float | None]) -> Spread:
    """Mean, lowest, highest; nothing when one is missing, for the others are then no sample."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return Spread(None, None, None)
    return Spread(mean(known), min(known), max(known))


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

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = points
        places = dict.fromkeys(point.place for point in points)
        self.places = sorted(places, key=lambda p: (p.workload, p.load or 0.0, p.rate or 0.0))
        self.backends = list(dict.fromkeys(point.backend for point in points))
        self._by_key = {(point.place, point.backend): point for point in points}

    def at(self, place: Place, backend: str) -> Point | None:
        """The point, if it was measured."""
        return self._by_key.get((place, backend))

    def value(self, place: Place, backend: str, figure: str) -> float | None:
        """The mean of a figure there; None when it was not measured."""
        point = self.at(place, backend)
        return None if point is None else point.mean(figure)

    def title(self, place: Place) -> str:
        """ "ilr-1 at load 0.9", with those of its dimensions of which there are several."""
        dimensions = ("hardware", "engine", "variation")
        many = [name for name in dimensions if len({getattr(p, name) for p in self.places}) > 1]
        return ", ".join([place.title, *(getattr(place, name) for name in many)])

    def here(self, place: Place) -> list[Point]:
        """All backends at a place, in the order of the sweep."""
        return [point for name in self.backends if (point := self.at(place, name)) is not None]

    def best(self, place: Place, among: Iterable[str], figure: str) -> Best | None:
        """The backends with the lowest mean of a figure, and that mean; None when none has one."""
        values = {name: self.value(place, name, figure) for name in among}
        known = {name: value for name, value in values.items() if value is not None}
        if not known:
            return None
        lowest = min(known.values())
        names = (name for name, value in known.items() if digits(value) == digits(lowest))
        return Best(tuple(names), lowest)

    def ratio(self, place: Place, figure: str, of: str, to: str) -> float | None:
        """How many times as large a figure is under one backend as under another."""
        above, below = self.value(place, of, figure), self.value(place, to, figure)
        return None if above is None or not below else above / below
