"""Eviction rates over time: a strip a backend, a column a regime."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from marsbench.compare.points import Place
from marsbench.compare.values import EvictionPoint
from marsbench.report.canvas import GREY, legend, page_or_column
from marsbench.report.figures.drawing import Drawing
from marsbench.report.figures.strips import blank, edge_of, fill, finish, name_rows, strips
from marsbench.report.looks import Look
from marsbench.report.material import Absent, Material, sheets

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def evictions(material: Material) -> Iterator[Drawing]:
    """All evicted blocks, in light; those of sessions under way, in full colour."""
    points: defaultdict[tuple[Place, str], list[EvictionPoint]] = defaultdict(list)
    for point in material.traces.evictions:
        points[point.place, point.backend].append(point)
    if not points:
        raise Absent("no run given has kept its evictions over time")
    caption = (
        "Blocks of 16 tokens a second that the KV cache dropped, at each regime's highest load, "
        "first seed; what is swapped to host memory is not among them. Light: all; dark: those of "
        "sessions still under way, which may have to be computed again. Blocks of ended sessions "
        "go in any case. The scale is linear up to 1 and logarithmic above."
    )
    names = list(material.contenders)
    for regimes in sheets(material.regimes):
        titles = [material.matrix.title(regime.heaviest) for regime in regimes]
        figure, axes = strips(names, titles, page_or_column(len(regimes)))
        top = max(point.blocks_per_s for own in points.values() for point in own)
        for column, regime in enumerate(regimes):
            place = regime.heaviest
            edge = edge_of([own[-1].at_s for name in names if (own := points[place, name])])
            for row, (name, look) in enumerate(material.contenders.items()):
                if not points[place, name]:
                    blank(axes[row, column])
                    continue
                _strip(axes[row, column], points[place, name], edge, look)
                _scale(axes[row, column], top)
                axes[row, column].tick_params(labelleft=not column)
        name_rows(axes, names)
        _key(figure)
        finish(figure, axes)
        yield Drawing(figure, "Evicted blocks a second over time.", caption)


def _strip(axes: Axes, points: Sequence[EvictionPoint], edge_s: float, look: Look) -> None:
    fill(axes, [(p.at_s, p.blocks_per_s) for p in points], edge_s, look, alpha=0.3)
    fill(axes, [(p.at_s, p.live_blocks_per_s) for p in points], edge_s, look)


def _scale(axes: Axes, top: float) -> None:
    axes.set_yscale("symlog", linthresh=1, linscale=0.4)
    axes.set_ylim(0, max(top, 10) * 1.3)
    axes.set_yticks([0, 10, 1000], ["0", "10", "1,000"])
    axes.minorticks_off()


def _key(figure: Figure) -> None:
    from matplotlib.patches import Patch

    legend(
        figure,
        [
            Patch(color=GREY, alpha=0.3, linewidth=0, label="all blocks"),
            Patch(color=GREY, linewidth=0, label="of sessions under way"),
        ],
    )
