"""The figures by name, in the order of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from marsbench.report.canvas import Drawing
from marsbench.report.figures.causes import causes
from marsbench.report.figures.fairness import fairness
from marsbench.report.figures.load import collapse, latency
from marsbench.report.figures.over_time import evictions, occupancy
from marsbench.report.figures.parts import ablations, light_load
from marsbench.report.figures.rounds import ttft_by_round
from marsbench.report.figures.slowdown import goodput_alpha, slowdown, slowdown_cdf
from marsbench.report.material import Material

FIGURES: Mapping[str, Callable[[Material], Iterator[Drawing]]] = {
    "latency": latency,
    "collapse": collapse,
    "slowdown": slowdown,
    "goodput-alpha": goodput_alpha,
    "slowdown-cdf": slowdown_cdf,
    "causes": causes,
    "ttft-by-round": ttft_by_round,
    "evictions": evictions,
    "occupancy": occupancy,
    "ablations": ablations,
    "light-load": light_load,
    "fairness": fairness,
}
"""Each yields its drawings, one a sheet of regimes, or raises Absent."""

__all__ = ["FIGURES", "Drawing"]
