"""At one load: a curve over load would be a point, so every backend is a row of dots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from marsbench.judge.compare.points import Place
from marsbench.report.canvas import Drawing
from marsbench.report.figures.dots import dot, dots, rows_of, span
from marsbench.report.figures.fence import Fence, mark
from marsbench.report.figures.measures import Measure, scaled, spread_of
from marsbench.report.material import Material

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def at_one_load(
    material: Material, place: Place, measures: Sequence[Measure], headline: str, caption: str
) -> Iterator[Drawing]:
    """A panel a measure, a row a backend that ran there."""
    names = [n for n in material.contenders if material.matrix.at(place, n) is not None]
    title = material.matrix.title(place)
    for rows in rows_of(names):
        columns = {measure.label: measure for measure in measures}
        figure, beyond = dots(rows, columns, partial(_panel, material, place, rows))
        yield Drawing(figure, f"{headline} on {title}.", caption + beyond)


def _panel(
    material: Material, place: Place, rows: Sequence[str], axes: Axes, measure: Measure
) -> Fence | None:
    """Every backend's mean, from its lowest seed to its highest."""
    values = {name: spread_of(material, place, name, measure) for name in rows}
    known = {name: [v for v in own if v is not None] for name, own in values.items()}
    found = scaled(axes, "x", measure, known)
    for row, (name, (mean, low, high)) in enumerate(values.items()):
        if mean is None:
            continue
        look = material.contenders[name]
        span(axes, low, high, row, look)
        dot(axes, mean, row, look)
        if found and mean > found.end:
            mark(axes, "x", row, look)
    return found
