"""Goodput over host memory, a line a scheduler, a panel a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from studies.host_kv.rows import Row


def draw(rows: Sequence[Row], path: Path) -> None:
    """Eager LRU, lazy dashed; means over seeds are left to the reader's eye: all points."""
    from matplotlib import rcParams
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "host-kv"  # its ids are random otherwise
    places = list(dict.fromkeys(row.place for row in rows))
    figure = Figure(figsize=(4.2 * len(places), 3.4), layout="constrained")
    FigureCanvasSVG(figure)
    for axes, place in zip(figure.subplots(1, len(places), squeeze=False)[0], places, strict=True):
        own = [row for row in rows if row.place == place]
        for number, backend in enumerate(dict.fromkeys(row.backend for row in own)):
            for kind, style in (("", "-"), (" lazy", "--")):
                line = _line([row for row in own if row.backend == backend], kind)
                label = f"{backend}{kind}" if line else None
                points = zip(*line, strict=True) if line else ((), ())
                axes.plot(*points, style, marker="o", color=f"C{number}", label=label)
        axes.set(title=f"{place[0]} {place[1] or ''}", xlabel="host memory / working set")
        axes.set(ylabel="goodput", ylim=(0, 1))
    figure.legend(*_legend(figure.axes), fontsize="small", loc="outside right upper")
    figure.savefig(path, metadata={"Date": None})


def _line(rows: Sequence[Row], kind: str) -> list[tuple[float, float | None]]:
    """Goodput over host memory ÷ working set, of the rows of one kind of store."""
    own = [row for row in rows if row.engine.endswith(kind)]
    sizes = [(replace(row, engine=row.engine.removesuffix(kind)).ratio, row) for row in own]
    return sorted((size, row.goodput) for size, row in sizes if size is not None)


def _legend(panels: Sequence[Any]) -> tuple[list[Any], list[str]]:
    """Each line once, whichever panel has it."""
    handles = [axes.get_legend_handles_labels() for axes in panels]
    found = {label: line for own in handles for line, label in zip(*own, strict=True)}
    return list(found.values()), list(found)
