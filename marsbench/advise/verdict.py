"""What follows from the runs: who is best or level with it at both loads, and against fcfs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marsbench.advise.traffic import TODAY, TWICE
from marsbench.judge.compare import Comparison, Difference, Estimate, Figure, Place
from marsbench.judge.compare.figures import LATENCY
from marsbench.judge.compare.ranking import LEVEL_GOODPUT, LEVEL_LATENCY, standings
from marsbench.judge.compare.winners import MEASURES, Winner, results_at, where_it_turns, winners
from marsbench.judge.sweep.refine import Lead, leaders

FCFS = "fcfs"
TTFT = Figure("ttft_ready_p99_s")

assert LEVEL_GOODPUT == LEVEL_LATENCY
"""`leaders` takes one margin for both."""


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """A backend at a load: each figure over the seeds, and against fcfs; none of fcfs itself."""

    backend: str
    figures: Mapping[Figure, Estimate]
    against: Mapping[Figure, Difference]

    def mean(self, figure: Figure) -> float | None:
        return self.figures[figure].mean


@dataclass(frozen=True, slots=True)
class AtLoad:
    """All backends at a load.

    level: the best, and who is level with it, the lowest mean latency first: the lowest of those
    within 5 points of the highest goodput, and those within 5 % of that latency. winners: by each
    measure, mean latency and P99 TTFT among them.
    """

    name: str
    rows: tuple[ChoiceRow, ...]
    level: tuple[str, ...]
    winners: Mapping[Figure, Winner]

    @property
    def turns(self) -> str:
        """Whether the winner changes with the measure."""
        return where_it_turns(self.winners)

    def row(self, backend: str) -> ChoiceRow:
        return next(row for row in self.rows if row.backend == backend)


@dataclass(frozen=True, slots=True)
class Verdict:
    """choice: best or level at both loads, fcfs where that is; `holds`: whether anybody is, or
    only at today's. good: the figure that decides."""

    good: Figure
    today: AtLoad
    twice: AtLoad
    choice: str
    holds: bool

    @property
    def figures(self) -> tuple[Figure, ...]:
        """What is told of every backend."""
        return (self.good, LATENCY, TTFT)


def verdict_of(found: Comparison) -> Verdict:
    """Of all backends at both loads."""
    good = Figure("goodput", found.alphas[0])
    places = {place.workload: place for place in found.places}
    today, twice = (_at_load(found, places[name], good) for name in (TODAY, TWICE))
    both = [name for name in twice.level if name in today.level]
    choice = FCFS if FCFS in both else (both or today.level)[0]
    return Verdict(good, today, twice, choice, bool(both))


def _at_load(found: Comparison, place: Place, good: Figure) -> AtLoad:
    scores = standings(found.matrix, place, good)
    leads = {name: Lead(one.goodput, one.latency_s) for name, one in scores.items()}
    own = tuple(leaders(leads, LEVEL_GOODPUT)) or (FCFS,)
    own_alpha = () if good in MEASURES else (good,)
    measures = (*own_alpha, *MEASURES, LATENCY, TTFT)
    best = winners(results_at(found.matrix, place, found.backends, measures), measures)
    rows = tuple(_row(found, place, name, (good, LATENCY, TTFT)) for name in found.backends)
    return AtLoad(place.workload, rows, own, best)


def _row(found: Comparison, place: Place, backend: str, figures: Sequence[Figure]) -> ChoiceRow:
    where = (place, backend)
    own = {e.figure: e for e in found.estimates if (e.place, e.backend) == where}
    against = {d.figure: d for d in found.differences if (d.place, d.backend) == where}
    return ChoiceRow(
        backend,
        {figure: own[figure] for figure in figures},
        {figure: against[figure] for figure in figures if figure in against},
    )
