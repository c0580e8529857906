"""MARS without its parts: which counts say that a part did anything, and what it is worth.

A part that decided nothing where it was switched on is not measured by switching it off: there is
no verdict on it, and no ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from marsbench.judge.compare.figures import LATENCY
from marsbench.judge.compare.points import Matrix, Place
from marsbench.judge.paper.systems import MARS
from marsbench.judge.paper.verdicts import NOTHING, Finding, against, graded
from marsbench.judge.paper.view import MatrixView, Ran
from marsbench.text.decisions import DECIDED
from marsbench.text.numbers import mean_count, span

PARTS: Mapping[str, tuple[str, ...]] = {
    "coordinator": ("waiting_order", "running_order", "victim", "reclaim"),
    "admission": ("admission",),
    "opportunistic": ("shrink", "hold"),
    "shrinking": ("shrink",),
    "retention": ("hold",),
}
"""The decisions of each part; counted in runs of the whole."""
UNCOUNTED = "how often the part ran was not counted"


def without(part: str, mars: str = MARS) -> str:
    """The label of MARS, or of what else is whole, without a part."""
    return f"{mars}-no-{part}"


def exercised(ran: Ran | None, ratio: float) -> bool:
    """Whether the part did anything; where nobody counted, it may have.

    Runs are exact: a ratio other than 1 shows that it did, whatever the counts say.
    """
    return ran is None or ratio != 1 or any(times for times, _ in ran.values())


def exercised_at(matrix: Matrix, place: Place, label: str) -> bool:
    """Whether the part that this label lacks did anything there; of another label, yes."""
    whole, _, part = label.partition("-no-")
    view = MatrixView(matrix, (LATENCY,), PARTS.get(part, ()), whole)
    ratio = view.ratio(place, label, whole)
    return ratio is None or exercised(view.ran(place), ratio)


def ablation(part: str, low: float, high: float | None) -> Callable[[MatrixView], Finding]:
    """A judge of MARS without a part; low is the smallest ratio that the paper reports."""

    def judge(view: MatrixView) -> Finding:
        ratios = view.ratios(without(part, view.mars), view.mars)
        if not ratios:
            return NOTHING
        times = how_often(view, list(ratios))
        found = {p: ratio for p, ratio in ratios.items() if exercised(view.ran(p), ratio)}
        if not found:
            return Finding(times, "not exercised")
        top = max(found, key=lambda place: found[place])
        of = "" if len(found) == len(ratios) else f"{len(found)} of {len(ratios)} "
        text = (
            f"{min(found.values()):.2f}–{found[top]:.2f}× at {of}contended points "
            f"(most: {view.title(top)}); {times}"
        )
        return Finding(text, "ours alone" if high is None else against(found[top], low))

    return judge


def how_often(view: MatrixView, places: Sequence[Place]) -> str:
    """ "0–1 of 40–57 fronts of the queue, 0 of 0 victims": what the part decided in a run."""
    runs = [ran for place in places if (ran := view.ran(place)) is not None]
    if len(runs) < len(places):
        return UNCOUNTED
    told = (
        f"{_range([ran[name][0] for ran in runs])} of {_range([ran[name][1] for ran in runs])} "
        f"{DECIDED[name]}"
        for name in runs[0]
    )
    return f"in a run of the whole, {', '.join(told)}"


def _range(counts: Sequence[float]) -> str:
    return span(counts, mean_count, "–")


def inversion(view: MatrixView) -> Finding:
    """The lightest regime at its lowest load, without the opportunistic part."""
    ratios = view.ratios(without("opportunistic", view.mars), view.mars, view.places)
    calm = [place for place in ratios if place not in view.contended]
    if not calm:
        return NOTHING
    lightest = min(calm, key=lambda place: (place.workload, place.load or place.rate or 0.0))
    if not exercised(view.ran(lightest), ratios[lightest]):
        return Finding(f"at {view.title(lightest)}, {how_often(view, [lightest])}", "not exercised")
    fastest = min(ratios, key=lambda place: ratios[place])
    text = (
        f"{ratios[lightest]:.4f}× at the lightest point ({view.title(lightest)}); lowest anywhere "
        f"{ratios[fastest]:.4f}× ({view.title(fastest)}); {how_often(view, [lightest])}"
    )
    return graded(text, _shown(ratios[lightest]) < 1, _shown(ratios[fastest]) < 1)


def _shown(ratio: float) -> float:
    """In the digits that are shown: what reads as 1 is no gain."""
    return round(ratio, 4)
