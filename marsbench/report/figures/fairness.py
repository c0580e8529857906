"""Who pays: slowdown of small, middle, long and very long sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from marsbench.judge.compare.figures import Figure as RunFigure
from marsbench.judge.compare.points import Place
from marsbench.report.canvas import GREY, Drawing
from marsbench.report.figures.dots import at_one, dot, dots, rows_of
from marsbench.report.figures.fence import Fence, mark
from marsbench.report.figures.measures import Measure, scaled
from marsbench.report.material import Absent, Material, not_run, sheets

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

SIZES = {"small": "o", "middle": "s", "long": "^", "over 50k": "x"}
"""Markers; the names are those of `marsbench.judge.compare.fairness`."""
MEAN = Measure(RunFigure("slowdown_mean"), "mean slowdown")
Sized = Mapping[tuple[Place, str], Mapping[str, float]]


def fairness(material: Material) -> Iterator[Drawing]:
    """Mean slowdown by size at each regime's highest load; a row a backend."""
    rows: dict[tuple[Place, str], dict[str, float]] = {}
    for row in material.comparison.sizes:
        if row.slowdown_mean is not None:
            rows.setdefault((row.place, row.backend), {})[row.size] = row.slowdown_mean
    if not rows:
        raise Absent("no run has a table of sessions with the time of each alone")
    caption = (
        "Mean slowdown of the sessions in each third of their workload by longest context, and of "
        "those over 50,000 tokens; at each workload's highest load, seeds pooled. The wider a "
        "row, the more it depends on a session's size how it fares. Logarithmic scale."
    )
    headline = "Slowdown by size of session."
    for regimes in sheets(material.regimes):
        places = [regime.heaviest for regime in regimes]
        lacking = not_run(material, places, material.contenders, lambda *key: key in rows)
        columns = {material.matrix.title(place): place for place in places}
        for names in rows_of(list(material.contenders)):
            draw = partial(_panel, material, rows, names)
            figure, beyond = dots(names, columns, draw, "mean slowdown", _key())
            yield Drawing(figure, headline, caption + beyond + lacking)


def _panel(
    material: Material, rows: Sized, names: Sequence[str], axes: Axes, place: Place
) -> Fence | None:
    sized = {name: rows.get((place, name), {}) for name in names}
    found = scaled(axes, "x", MEAN, {name: [1.0, *of.values()] for name, of in sized.items()})
    for row, name in enumerate(names):
        _row(axes, material, name, row, sized[name], found)
    at_one(axes)
    return found


def _row(
    axes: Axes,
    material: Material,
    name: str,
    row: int,
    sized: Mapping[str, float],
    found: Fence | None,
) -> None:
    for size, value in sized.items():
        if found and value > found.end:
            mark(axes, "x", row, material.contenders[name])
        else:
            dot(axes, value, row, material.contenders[name], SIZES[size])


def _key() -> list[Line2D]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=GREY, marker=marker, linestyle="", markersize=3.6, label=size)
        for size, marker in SIZES.items()
    ]
