"""Judges of latency, and of MARS beside the control and the bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from marsbench.judge.compare.caps import in_words
from marsbench.judge.compare.points import Place
from marsbench.judge.intervals import is_level
from marsbench.judge.paper.systems import BASELINES, BOUND, CONTROL
from marsbench.judge.paper.verdicts import AHEAD, NEAR, NOTHING, Finding, against, graded
from marsbench.judge.paper.view import MatrixView

FIRST_MODEL, SECOND_MODEL = "qwen3-coder-30b", "gpt-oss-120b"
"""The paper's models: its numbers are not judged by runs of another."""


class Gain(NamedTuple):
    """How many times as large a figure is under the best baseline as under MARS."""

    place: Place
    against: str
    ratio: float


def gains(view: MatrixView, places: Sequence[Place]) -> list[Gain]:
    """MARS against the strongest of the paper's baselines at each place."""
    found = []
    for place in places:
        own, best = view.value(place, view.mars), view.best(place, BASELINES)
        if own and best is not None:
            found.append(Gain(place, best.told, best.value / own))
    return found


def of_model(places: Sequence[Place], name: str) -> list[Place]:
    """The places with a model whose name begins so."""
    return [place for place in places if place.model.startswith(name)]


def headline(view: MatrixView) -> Finding:
    return _largest(view, gains(view, of_model(view.places, FIRST_MODEL)), 5.94)


def second_model(view: MatrixView) -> Finding:
    return _largest(view, gains(view, of_model(view.places, SECOND_MODEL)), 7.56)


def against_fcfs(view: MatrixView) -> Finding:
    """The paper shows it in figures only."""
    ratios = view.ratios("fcfs", view.mars)
    if not ratios:
        return NOTHING
    top, place = max((ratio, place) for place, ratio in ratios.items())
    low = min(ratios.values())
    text = f"{low:.2f}–{top:.2f}× at contended points (most: {view.title(place)})"
    return Finding(text, "ours alone")


def _largest(view: MatrixView, found: Sequence[Gain], published: float) -> Finding:
    if not found:
        return NOTHING
    top = max(found, key=lambda gain: gain.ratio)
    text = f"up to {top.ratio:.2f}× ({view.title(top.place)}, against {top.against})"
    return Finding(text, against(top.ratio, published))


def between(low: float, high: float) -> Callable[[MatrixView], Finding]:
    """Reached when all points are near the lowest and one near the highest published ratio."""

    def judge(view: MatrixView) -> Finding:
        found = gains(view, of_model(view.contended, FIRST_MODEL))
        if not found:
            return NOTHING
        ratios = [gain.ratio for gain in found]
        enough = sum(ratio >= low for ratio in ratios)
        text = (
            f"{min(ratios):.2f}–{max(ratios):.2f}× at contended points; "
            f"{enough} of {len(ratios)} at {low} or more"
        )
        near = min(ratios) >= NEAR * low and max(ratios) >= NEAR * high
        return graded(text, near, max(ratios) >= AHEAD)

    return judge


# --- controls


def control(view: MatrixView) -> Finding:
    """MARS against FCFS with the best fixed cap: what scheduling adds to admission.

    A cap that somebody gave is not the best one, and gives no verdict.
    """
    by_place = view.ratios(CONTROL, view.mars)
    if not by_place:
        return NOTHING
    ratios, caps = list(by_place.values()), view.caps(list(by_place))
    level = sum(is_level(ratio, 1) for ratio in ratios)
    lower = sum(ratio > 1 and not is_level(ratio, 1) for ratio in ratios)
    equal = f" and the same at {level}" if level else ""
    text = (
        f"MARS has the lower mean at {lower} of {len(ratios)} contended points{equal}: mean "
        f"latency of fcfs-cap is {min(ratios):.2f}–{max(ratios):.2f}× that of MARS"
        + (f" ({in_words(caps)})" if caps else " (whether its cap was searched is not known)")
    )
    if not all(cap.searched for cap in caps):
        return Finding(text, "not measured", GIVEN_CAP)
    return graded(text, min(ratios) >= AHEAD, max(ratios) >= AHEAD)


GIVEN_CAP = (
    "The cap was given and not searched, so admission alone may do better than it does here; leave "
    "`cap` out of the sweep, and every run searches its own."
)


def share_of_bound(view: MatrixView) -> Finding:
    """MARS's goodput over the oracle's."""
    shares = list(view.ratios(view.mars, BOUND).values())
    if not shares:
        return NOTHING
    text = f"{min(shares):.0%}–{max(shares):.0%} of the oracle's goodput(3) at contended points"
    return Finding(text, "ours alone")


def unmeasured(view: MatrixView) -> Finding:
    return NOTHING
