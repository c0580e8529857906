"""Judges of what happens as a run or its load goes on: first tokens, evictions, goodput."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from marsbench.judge.compare.points import Place
from marsbench.judge.paper.systems import BASELINES
from marsbench.judge.paper.verdicts import (
    AHEAD,
    COLLAPSED,
    KEPT,
    NEAR,
    NOTHING,
    SUSTAINED,
    Finding,
    graded,
)
from marsbench.judge.paper.view import MatrixView

# --- TTFT and evictions


def slow_first_tokens(view: MatrixView) -> Finding:
    """The worst of the baselines' and the worst of MARS's, by the same P99."""
    worst, own = _most(view, BASELINES), _most(view, (view.mars,))
    if worst is None or own is None:
        return NOTHING
    text = (
        f"baselines up to {worst[0]:,.0f} s ({worst[1]}, {view.title(worst[2])}), MARS up to "
        f"{own[0]:,.0f} s ({view.title(own[2])})"
    )
    slow, lower = worst[0] > 1000, worst[0] >= AHEAD * own[0]
    return graded(text, slow and lower, slow or lower)


def eviction_rates(view: MatrixView) -> Finding:
    """Of the baselines alone: the lowest mean of a run against the lowest published rate."""
    return _evictions(view, "blocks of 16 tokens/s", lambda rates: min(rates) >= NEAR * 10)


def eviction_peak(view: MatrixView) -> Finding:
    """Of the baselines alone: the worst second against the highest published rate."""
    of = "blocks of 16 tokens in a second"
    return _evictions(view, of, lambda rates: max(rates) > 1000)


def _evictions(view: MatrixView, of: str, reached: Callable[[Sequence[float]], bool]) -> Finding:
    rates = [rate for rate, _, _ in view.values(BASELINES)]
    if not rates:
        return NOTHING
    text = f"baselines {min(rates):,.0f}–{max(rates):,.0f} {of}"
    return graded(text, reached(rates), max(rates) >= 10)


def eviction_burst(view: MatrixView) -> Finding:
    """Blocks of sessions under way, by quarter of the run; the later three on both sides."""
    own, others = _quarters(view, (view.mars,)), _quarters(view, BASELINES)
    if own is None or others is None:
        return NOTHING
    text = (
        f"MARS {_per_quarter(own)} live blocks/s by quarter of the run, "
        f"baselines {_per_quarter(others)}"
    )
    quiet, loud = max(own[1:]), max(others[1:])
    calmer = quiet <= 0.1 * loud and own[0] >= quiet
    return graded(text, calmer and quiet <= 1, calmer or max(own) <= 0.1 * max(others))


def _quarters(view: MatrixView, names: Sequence[str]) -> list[float] | None:
    """Mean over contended places and backends, for each quarter."""
    means = []
    for quarter in range(4):
        values = [value for value, _, _ in view.values(names, quarter)]
        if not values:
            return None
        means.append(sum(values) / len(values))
    return means


def _per_quarter(rates: Sequence[float]) -> str:
    return " → ".join(f"{rate:,.1f}" for rate in rates)


def _most(view: MatrixView, names: Sequence[str]) -> tuple[float, str, Place] | None:
    """The largest value at a contended place, whose it is and where."""
    return max(view.values(names), key=lambda entry: entry[0], default=None)


# --- goodput against load


def collapse(view: MatrixView) -> Finding:
    baselines, own = view.curves(BASELINES), view.curves((view.mars,))
    if not baselines or not own:
        return NOTHING
    fallen = [curve for curve in baselines if curve.collapsed]
    keeps = [curve.kept for curve in own if curve.kept is not None]
    text = (
        f"{len(fallen)} of {len(baselines)} baseline curves keep {COLLAPSED:.0%} of their "
        f"goodput(3) or less from the lowest to the highest load; "
        f"MARS keeps {min(keeps, default=0):.0%}–{max(keeps, default=0):.0%}"
    )
    most = len(fallen) * 2 >= len(baselines)
    return graded(text, most and min(keeps, default=0) >= SUSTAINED, bool(fallen))


def constant(what: str) -> Callable[[MatrixView], Finding]:
    """Of the baselines whose goodput collapses: what is left of this throughput."""

    def judge(view: MatrixView) -> Finding:
        shares = [
            share
            for curve in view.curves(BASELINES)
            if curve.collapsed and (share := curve.of_best) is not None
        ]
        if not shares:
            return NOTHING
        kept = sum(share >= KEPT for share in shares)
        text = (
            f"of {len(shares)} collapsed curves, at the highest load, {min(shares):.0%}–"
            f"{max(shares):.0%} of their best {what}; {kept} keep {KEPT:.0%}"
        )
        return graded(text, kept == len(shares), bool(kept))

    return judge
