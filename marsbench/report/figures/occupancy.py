"""How full the machine was over time: the KV cache, and tools in flight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from marsbench.compare.points import Place
from marsbench.compare.values import KvPoint, ToolsPoint
from marsbench.report.canvas import GREY, PAGE, legend
from marsbench.report.figures.drawing import Drawing
from marsbench.report.figures.strips import blank, edge_of, fill, finish, name_rows, strips
from marsbench.report.looks import Look
from marsbench.report.material import Absent, Material

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ABREAST = 2
"""Regimes in one figure: each takes a column for the cache and one for tools."""


def occupancy(material: Material) -> Iterator[Drawing]:
    """KV blocks in use and held as shares of the cache; tool calls at once."""
    kv: defaultdict[tuple[Place, str], list[KvPoint]] = defaultdict(list)
    tools: defaultdict[tuple[Place, str], list[ToolsPoint]] = defaultdict(list)
    for point in material.traces.kv:
        kv[point.place, point.backend].append(point)
    for call in material.traces.tools:
        tools[call.place, call.backend].append(call)
    if not kv and not tools:
        raise Absent("no run given has kept its events")
    caption = (
        "Left of each pair: share of the KV cache that running requests use (dark) and that is "
        "held for paused sessions (light); the rest is free or cached without a user. Right: tool "
        "calls in flight. At the regime's highest load, first seed."
    )
    names = list(material.contenders)
    for first in range(0, len(material.regimes), ABREAST):
        places = [regime.heaviest for regime in material.regimes[first : first + ABREAST]]
        titles = [
            text for p in places for text in (f"{material.matrix.title(p)}: KV", "tools in flight")
        ]
        figure, axes = strips(names, titles, PAGE)
        for column, place in enumerate(places):
            seen = [own for name in names for own in (kv[place, name], tools[place, name]) if own]
            edge = edge_of([own[-1].at_s for own in seen])
            for row, (name, look) in enumerate(material.contenders.items()):
                left, right = axes[row, 2 * column : 2 * column + 2]
                _cache(left, kv[place, name], edge, look)
                _calls(right, tools[place, name], edge, look)
        _alike(axes, len(places))
        name_rows(axes, names)
        _key(figure)
        finish(figure, axes)
        yield Drawing(figure, "KV cache and tools over time.", caption)


def _cache(axes: Axes, points: Sequence[KvPoint], edge_s: float, look: Look) -> None:
    if not points:
        blank(axes)
        return
    both = [
        (point.at_s, point.used_share + point.held_share)
        for point in points
        if point.held_share is not None
    ]
    fill(axes, both, edge_s, look, alpha=0.3)
    fill(axes, [(point.at_s, point.used_share) for point in points], edge_s, look)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1], ["0", "100%"])


def _calls(axes: Axes, points: Sequence[ToolsPoint], edge_s: float, look: Look) -> None:
    if not points:
        blank(axes)
        return
    fill(axes, [(point.at_s, point.in_flight) for point in points], edge_s, look)


def _alike(axes: Any, places: int) -> None:
    """One scale of tool calls for all backends of a place, written once."""
    for column in range(1, 2 * places, 2):
        top = max(own.get_ylim()[1] for own in axes[:, column])
        for own in axes[:, column]:
            own.set_ylim(0, max(top, 1.0))
            own.locator_params(axis="y", nbins=2, integer=True)


def _key(figure: Figure) -> None:
    from matplotlib.patches import Patch

    legend(
        figure,
        [
            Patch(color=GREY, linewidth=0, label="in use, or tools in flight"),
            Patch(color=GREY, alpha=0.3, linewidth=0, label="held"),
        ],
    )
