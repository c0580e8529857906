"""Who pays: slowdown of small, middle, long and very long sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from marsbench.report.axes import log_scale
from marsbench.report.canvas import GREY, finished, legend, page_or_column
from marsbench.report.figures.dots import at_one, dot, dots
from marsbench.report.figures.drawing import Drawing
from marsbench.report.material import Absent, Material, sheets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES = {"small": "o", "middle": "s", "long": "^", "over 50k": "x"}
"""Markers; the names are those of `marsbench.compare.fairness`."""


def fairness(material: Material) -> Iterator[Drawing]:
    """Mean slowdown by size at each regime's highest load; a row a backend."""
    rows = {
        (row.place, row.backend, row.size): row.slowdown_mean
        for row in material.comparison.sizes
        if row.slowdown_mean is not None
    }
    if not rows:
        raise Absent("no run has a table of sessions with the time of each alone")
    caption = (
        "Mean slowdown of the sessions in each third of their workload by longest context, and of "
        "those over 50,000 tokens; at each regime's highest load, seeds pooled. The wider a row, "
        "the more it depends on a session's size how it fares. Logarithmic scale."
    )
    names = list(material.contenders)
    for regimes in sheets(material.regimes):
        titles = [material.matrix.title(regime.heaviest) for regime in regimes]
        figure, axes = dots(names, titles, page_or_column(len(regimes)))
        for column, regime in enumerate(regimes):
            for row, (name, look) in enumerate(material.contenders.items()):
                for size, marker in SIZES.items():
                    value = rows.get((regime.heaviest, name, size))
                    if value is not None:
                        dot(axes[0, column], value, row, look, marker)
            at_one(axes[0, column])
            log_scale(axes[0, column], "x")
            axes[0, column].set_xlabel("mean slowdown")
        _key(figure)
        finished(figure)
        yield Drawing(figure, "Slowdown by size of session.", caption)


def _key(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    legend(
        figure,
        [
            Line2D([], [], color=GREY, marker=marker, linestyle="", markersize=3.6, label=size)
            for size, marker in SIZES.items()
        ],
        columns=len(SIZES),
    )
