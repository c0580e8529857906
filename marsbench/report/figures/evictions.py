"""Eviction rates over time: a strip a backend, a column a regime."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from marsbench.judge.compare.points import Place
from marsbench.judge.compare.values import EvictionPoint
from marsbench.report.figures.drawing import Drawing
from marsbench.report.figures.strips import (
    MOST,
    Key,
    edge_of,
    ended,
    fill,
    finish,
    goes_on,
    no_strip,
    strips,
    with_data,
)
from marsbench.report.looks import Look
from marsbench.report.material import Absent, Material, not_run, sheets

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Courses = Mapping[Key, Sequence[EvictionPoint]]


def evictions(material: Material) -> Iterator[Drawing]:
    """All evicted blocks, in light; those of sessions under way, in full colour."""
    points: defaultdict[Key, list[EvictionPoint]] = defaultdict(list)
    for point in material.traces.evictions:
        points[point.place, point.backend].append(point)
    if not points:
        raise Absent("no run given has kept its evictions over time")
    caption = (
        "Blocks of 16 tokens a second that the KV cache dropped, at each workload's highest load, "
        "first seed; what is swapped to host memory is not among them. Light: all; dark: those of "
        "sessions still under way, which may have to be computed again. Blocks of ended sessions "
        "go in any case. The scale is linear up to 1 and logarithmic above."
    )
    headline = "Evicted blocks a second over time."
    for regimes in sheets(material.regimes):
        places = [regime.heaviest for regime in regimes]
        lacking = not_run(material, places, material.contenders, lambda *key: key in points)
        ends = {key: course[-1].at_s for key, course in points.items()}
        edges = {place: edge_of([e for k, e in ends.items() if k[0] == place]) for place in places}
        more = ended(material, ends, edges) + lacking
        for names in sheets(with_data(list(material.contenders), places, points), MOST):
            figure = _figure(material, edges, names, points)
            yield Drawing(figure, headline, caption + more)


def _figure(
    material: Material, edges_s: Mapping[Place, float], names: Sequence[str], points: Courses
) -> Any:
    figure, axes = strips(names, [material.matrix.title(place) for place in edges_s])
    top = max(point.blocks_per_s for own in points.values() for point in own)
    for column, (place, edge_s) in enumerate(edges_s.items()):
        for own, name in zip(axes[:, column], names, strict=True):
            if (place, name) not in points:
                no_strip(own)
                continue
            _strip(own, points[place, name], edge_s, material.contenders[name])
            _scale(own, top)
            own.tick_params(labelleft=not column)
    finish(figure, axes)
    return figure


def _strip(axes: Axes, points: Sequence[EvictionPoint], edge_s: float, look: Look) -> None:
    fill(axes, [(p.at_s, p.blocks_per_s) for p in points], edge_s, look, alpha=0.3)
    fill(axes, [(p.at_s, p.live_blocks_per_s) for p in points], edge_s, look)
    goes_on(axes, points[-1].at_s, edge_s, look)


def _scale(axes: Axes, top: float) -> None:
    axes.set_yscale("symlog", linthresh=1, linscale=0.4)
    axes.set_ylim(0, max(top, 10) * 1.3)
    axes.set_yticks([0, 1000], ["0", "1,000"])
    axes.minorticks_off()
