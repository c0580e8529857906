"""Goodput over host memory, a line a scheduler, a panel a place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from studies.host_kv.rows import Row


def draw(rows: Sequence[Row], path: Path) -> None:
    """Of the rows of plain eager LRU; means over seeds are left to the reader's eye: all points."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    places = list(dict.fromkeys(row.place for row in rows))
    figure = Figure(figsize=(4.2 * len(places), 3.4), layout="constrained")
    FigureCanvasSVG(figure)
    for axes, place in zip(figure.subplots(1, len(places), squeeze=False)[0], places, strict=True):
        own = [row for row in rows if row.place == place and row.ratio is not None]
        for backend in dict.fromkeys(row.backend for row in own):
            line = sorted((r.ratio, r.goodput) for r in own if r.backend == backend)
            axes.plot(*zip(*line, strict=True), marker="o", label=backend)
        axes.set(title=f"{place[0]} {place[1] or ''}", xlabel="host memory / working set")
        axes.set(ylabel="goodput", ylim=(0, 1))
    axes.legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})
