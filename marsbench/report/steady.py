"""The steady part beside the whole run, and how far from steady it was."""

from __future__ import annotations

from collections.abc import Iterator

from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.compare.points import Place
from marsbench.report.material import Material, sheets
from marsbench.report.tables import ABREAST
from marsbench.text.numbers import UNMEASURED, measured, percent, short
from marsbench.text.tables import Table

STEADY_LATENCY, DRIFT = Figure("steady_latency_mean_s"), Figure("backlog_drift")


def beside_the_whole(material: Material) -> Iterator[Table]:
    """Where each regime's load is highest; nothing where no run has a steady part."""
    alpha, value = material.alpha, material.matrix.value
    regimes = [
        regime
        for regime in material.regimes
        if any(value(regime.heaviest, b, STEADY_LATENCY) is not None for b in material.contenders)
    ]
    caption = (
        f"Whole run → steady part (docs/metrics.md) where load is highest, means over seeds: "
        f"goodput({alpha:g}) · mean latency, s · growth of the backlog for each session that "
        "arrived, 0 where a run is steady."
    )
    for some in sheets(regimes, ABREAST):
        rows = tuple(
            (name, *(_cell(material, regime.heaviest, name) for regime in some))
            for name in material.contenders
        )
        titles = (material.matrix.title(regime.heaviest) for regime in some)
        yield Table(("backend", *titles), rows, caption=caption)


def _cell(material: Material, place: Place, name: str) -> str:
    """ "87% → 83% · 226 → 242 · -0.04"."""
    value = material.matrix.value
    goods = (value(place, name, Figure(of, material.alpha)) for of in ("goodput", "steady_goodput"))
    means = (value(place, name, of) for of in (LATENCY, STEADY_LATENCY))
    if material.matrix.at(place, name) is None:
        return UNMEASURED
    told = (" → ".join(map(percent, goods)), " → ".join(map(short, means)))
    return " · ".join((*told, measured(value(place, name, DRIFT), "+.2f")))
