"""What a judge is shown: one figure of a matrix, so that a verdict compares like with like.

Which places and curves a verdict is about is settled here, by goodput(3) alone. How often a part
ran, and how the control's cap came about, are facts beside the figure and are compared with
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from marsbench.judge.compare.caps import Cap, caps_in
from marsbench.judge.compare.figures import GOODPUT, Figure, num_asked, num_differed
from marsbench.judge.compare.points import Best, Matrix, Place
from marsbench.judge.paper.systems import CONTROL, MARS
from marsbench.judge.paper.verdicts import COLLAPSED, CONTENDED


def contended(matrix: Matrix) -> list[Place]:
    """The places at which FCFS fails a tenth of the sessions or more."""
    shares = {place: matrix.value(place, "fcfs", GOODPUT) for place in matrix.places}
    return [place for place, share in shares.items() if share is not None and share < CONTENDED]


class Curve(NamedTuple):
    """One figure of a backend along the loads of a regime, lightest first."""

    regime: Place
    backend: str
    values: tuple[float, ...]
    collapsed: bool

    @property
    def kept(self) -> float | None:
        """The value at the highest load over that at the lowest."""
        return self.values[-1] / self.values[0] if self.values[0] else None

    @property
    def of_best(self) -> float | None:
        """The value at the highest load over the best at any."""
        best = max(self.values)
        return self.values[-1] / best if best else None


def regimes(matrix: Matrix) -> list[list[Place]]:
    """The places of each regime that was played at several loads, lightest first."""
    groups: dict[Place, list[Place]] = {}
    for place in matrix.places:
        if place.load is not None:
            groups.setdefault(place._replace(load=None), []).append(place)
    several = (places for places in groups.values() if len(places) > 1)
    return [sorted(places, key=lambda p: p.load or 0.0) for places in several]


Ran = dict[str, tuple[float, float]]
"""By decision: times that it was other than vLLM's, of how many; means over seeds."""


class MatrixView:
    """A matrix as the judge of one claim sees it.

    figures: the one figure that the claim is about; several where it is told by quarter of the
    run. decisions: those that the part in question is about. mars: the row that is judged.
    """

    def __init__(
        self,
        matrix: Matrix,
        figures: Sequence[Figure],
        decisions: Sequence[str] = (),
        mars: str = MARS,
    ) -> None:
        def value(place: Place, backend: str, quarter: int = 0) -> float | None:
            return matrix.value(place, backend, figures[quarter])

        def best(place: Place, among: Sequence[str]) -> Best | None:
            """The backends with the lowest value there, and that value."""
            return matrix.best(place, among, figures[0])

        def good(place: Place, backend: str) -> float | None:
            return matrix.value(place, backend, GOODPUT)

        self.value, self.best, self._good = value, best, good
        self.mars = mars
        self.places = matrix.places
        self.contended = contended(matrix)
        self.title = matrix.title
        self._regimes = regimes(matrix)
        self._ran = {place: _ran(matrix, place, decisions, mars) for place in matrix.places}
        self._caps = {c.place: c for c in caps_in(matrix) if c.backend == CONTROL}

    def ratio(self, place: Place, of: str, to: str) -> float | None:
        """How many times as large the figure is under one backend as under another."""
        above, below = self.value(place, of), self.value(place, to)
        return None if above is None or not below else above / below

    def ratios(self, of: str, to: str, places: Sequence[Place] | None = None) -> dict[Place, float]:
        """The same at these places, or at the contended ones, where both were measured."""
        return {
            place: ratio
            for place in (self.contended if places is None else places)
            if (ratio := self.ratio(place, of, to)) is not None
        }

    def values(self, names: Sequence[str], quarter: int = 0) -> list[tuple[float, str, Place]]:
        """Those that were measured at contended places, each with whose it is and where."""
        return [
            (value, name, place)
            for place in self.contended
            for name in names
            if (value := self.value(place, name, quarter)) is not None
        ]

    def ran(self, place: Place) -> Ran | None:
        """How often the part decided something in a run of MARS there; None: nobody counted."""
        return self._ran[place]

    def caps(self, places: Sequence[Place]) -> list[Cap]:
        """The control's caps at these places, where they are known."""
        return [self._caps[place] for place in places if place in self._caps]

    def curves(self, names: Sequence[str]) -> list[Curve]:
        """Of these backends, in every regime in which all loads were measured."""
        found = (self._curve(places, name) for places in self._regimes for name in names)
        return [curve for curve in found if curve is not None]

    def _curve(self, places: Sequence[Place], name: str) -> Curve | None:
        values = [v for place in places if (v := self.value(place, name)) is not None]
        goods = [g for p in places if (g := self._good(p, name)) is not None]
        if not len(values) == len(goods) == len(places):
            return None
        collapsed = goods[0] > 0 and goods[-1] / goods[0] <= COLLAPSED
        return Curve(places[0]._replace(load=None), name, tuple(values), collapsed)


def _ran(matrix: Matrix, place: Place, decisions: Sequence[str], mars: str) -> Ran | None:
    known = {
        name: (times, of)
        for name in decisions
        if (times := matrix.value(place, mars, num_differed(name))) is not None
        and (of := matrix.value(place, mars, num_asked(name))) is not None
    }
    return known if decisions and len(known) == len(decisions) else None
