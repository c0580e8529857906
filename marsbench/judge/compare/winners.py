"""Who wins by which measure: goodput at each α, and the worst slowdown.

α is the reader's choice, and a mean can be bought with the sessions that wait longest: a verdict
that names one winner says by which measure, and whether another names somebody else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from marsbench.judge.compare.figures import Figure, Figures
from marsbench.judge.compare.points import Matrix, Place
from marsbench.judge.compare.ranking import LEVEL_GOODPUT, LEVEL_LATENCY
from marsbench.judge.intervals import digits
from marsbench.text.numbers import UNMEASURED, percent, short
from marsbench.text.tables import Table
from marsbench.text.words import few, listed

ALPHAS = (1.5, 2.0, 3.0, 5.0)
WORST = Figure("slowdown_max")
MEASURES = (*(Figure("goodput", alpha) for alpha in ALPHAS), WORST)
"""What a verdict is given by."""
MOST = 3
"""Equal winners that are named."""


@dataclass(frozen=True, slots=True)
class Winner:
    """The best by one measure.

    names: all that have the best value, in the order given. level: those that are behind it by no
    more than the margin within which order means nothing (5 points of a share, else 5 %).
    """

    figure: Figure
    names: tuple[str, ...]
    value: float
    level: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """ "infercept 98% (level: mars)"."""
        value = percent(self.value) if self.figure.is_share else short(self.value)
        level = f" (level: {few(self.level)})" if self.level else ""
        return f"{equal(self.names)} {value}{level}"


def equal(names: Sequence[str]) -> str:
    """ "fcfs = mars"; of many, the first and how many more."""
    return " = ".join(names) if len(names) <= MOST else listed(names, MOST)


def winners(
    results: Mapping[str, Figures], measures: Sequence[Figure] = MEASURES
) -> dict[Figure, Winner]:
    """The winner by each measure, of results by backend; none by one that nobody has a value of."""
    found = {figure: _winner(results, figure) for figure in measures}
    return {figure: one for figure, one in found.items() if one is not None}


def _winner(results: Mapping[str, Figures], figure: Figure) -> Winner | None:
    values = {name: v for name, own in results.items() if (v := own.get(figure)) is not None}
    if not values:
        return None
    best = (max if figure.better == "higher" else min)(values.values())
    names = tuple(name for name, value in values.items() if digits(value) == digits(best))
    margin = LEVEL_GOODPUT if figure.is_share else LEVEL_LATENCY * best
    level = (name for name, value in values.items() if digits(abs(value - best)) <= digits(margin))
    return Winner(figure, names, best, tuple(name for name in level if name not in names))


def where_it_turns(found: Mapping[Figure, Winner]) -> str:
    """Whether the winner changes with the measure, in a sentence."""
    if not found:
        return "Nothing was measured."
    always = always_best(found)
    if always:
        return f"{listed(always)} by every measure."
    by_names: dict[tuple[str, ...], list[str]] = {}
    for figure, one in found.items():
        by_names.setdefault(one.names, []).append(_measure(figure))
    told = "; ".join(f"{equal(names)} at {listed(at)}" for names, at in by_names.items())
    safe = _in_all([{*one.names, *one.level} for one in found.values()])
    best = f"best or level by all: {listed(safe)}" if safe else "nobody is best or level by all"
    return f"It depends: {told}; {best}."


def always_best(found: Mapping[Figure, Winner]) -> list[str]:
    """The backends that have the best value by every measure."""
    return _in_all([{*one.names} for one in found.values()])


def _in_all(groups: Sequence[set[str]]) -> list[str]:
    return sorted(groups[0].intersection(*groups[1:]))


def _measure(figure: Figure) -> str:
    return f"α = {figure.alpha:g}" if figure.alpha else figure.label


def results_at(
    matrix: Matrix, place: Place, among: Collection[str], measures: Sequence[Figure] = MEASURES
) -> dict[str, Figures]:
    """The means of every backend there that is among these, as `winners` takes them."""
    return {
        point.backend: {figure: point.mean(figure) for figure in measures}
        for point in matrix.here(place)
        if point.backend in among
    }


def winners_table(
    matrix: Matrix, among: Collection[str], measures: Sequence[Figure] = MEASURES
) -> Table:
    """The winner of every place by each measure, and whether it is another by another."""
    head = ("place", *(figure.label for figure in measures), "the winner")
    rows = []
    for place in matrix.places:
        found = winners(results_at(matrix, place, among, measures), measures)
        cells = (found[figure].told if figure in found else UNMEASURED for figure in measures)
        rows.append((matrix.title(place), *cells, where_it_turns(found)))
    return Table(head, tuple(rows), "l")


def turning_places(
    matrix: Matrix, among: Collection[str], measures: Sequence[Figure] = MEASURES
) -> str:
    """At how many places, and at which, nobody wins by every measure."""
    by_place = {p: winners(results_at(matrix, p, among, measures), measures) for p in matrix.places}
    measured = {place: found for place, found in by_place.items() if found}
    turns = [matrix.title(place) for place, found in measured.items() if not always_best(found)]
    if not turns:
        return f"At each of {len(measured)} places one backend wins by every measure."
    of = f"{len(turns)} of {len(measured)} places"
    return f"Who wins depends on the measure at {of}: {listed(turns)}."
