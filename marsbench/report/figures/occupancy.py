"""How full the machine was over time: the KV cache, and tools in flight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marsbench.judge.compare.points import Place
from marsbench.judge.compare.values import KvPoint, ToolsPoint
from marsbench.report.figures.drawing import Drawing
from marsbench.report.figures.strips import (
    MOST,
    Key,
    edge_of,
    ended,
    fill,
    finish,
    goes_on,
    is_strip,
    no_strip,
    strips,
    with_data,
)
from marsbench.report.looks import Look
from marsbench.report.material import Absent, Material, not_run, sheets

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ABREAST = 2
"""Regimes in one figure: each takes a column for the cache and one for tools."""


@dataclass(frozen=True, slots=True)
class Courses:
    """What was traced of every backend at every place."""

    kv: defaultdict[Key, list[KvPoint]] = field(default_factory=lambda: defaultdict(list))
    tools: defaultdict[Key, list[ToolsPoint]] = field(default_factory=lambda: defaultdict(list))

    def keys(self) -> set[Key]:
        """Where anything was traced."""
        return {*self.kv, *self.tools}

    def ends_s(self) -> dict[Key, float]:
        """When each run ended, as far as it was traced."""
        calls = {key: own[-1].at_s for key, own in self.tools.items()}
        return calls | {key: own[-1].at_s for key, own in self.kv.items()}


def occupancy(material: Material) -> Iterator[Drawing]:
    """KV blocks in use and held as shares of the cache; tool calls at once."""
    courses = Courses()
    for point in material.traces.kv:
        courses.kv[point.place, point.backend].append(point)
    for call in material.traces.tools:
        courses.tools[call.place, call.backend].append(call)
    known = courses.keys()
    if not known:
        raise Absent("no run given has kept its events")
    caption = (
        "Left of each pair: share of the KV cache that running requests use (dark) and that is "
        "held for paused sessions (light); the rest is free or cached without a user. Right: tool "
        "calls in flight. At the workload's highest load, first seed."
    )
    headline = "KV cache and tools over time."
    for regimes in sheets(material.regimes, ABREAST):
        places = [regime.heaviest for regime in regimes]
        lacking = not_run(material, places, material.contenders, lambda *key: key in known)
        ends = courses.ends_s()
        edges = {place: edge_of([e for k, e in ends.items() if k[0] == place]) for place in places}
        more = ended(material, ends, edges) + lacking
        for names in sheets(with_data(list(material.contenders), places, known), MOST):
            figure = _figure(material, edges, names, courses)
            yield Drawing(figure, headline, caption + more)


def _figure(
    material: Material, edges_s: Mapping[Place, float], names: Sequence[str], courses: Courses
) -> Any:
    titles = [
        text for p in edges_s for text in (f"{material.matrix.title(p)}: KV", "tools in flight")
    ]
    figure, axes = strips(names, titles)
    for number, (place, edge) in enumerate(edges_s.items()):
        for row, name in enumerate(names):
            look = material.contenders[name]
            left, right = axes[row, 2 * number : 2 * number + 2]
            _cache(left, courses.kv.get((place, name)), edge, look)
            _calls(right, courses.tools.get((place, name)), edge, look)
        _alike(axes[:, 2 * number + 1])
    finish(figure, axes)
    return figure


def _cache(axes: Axes, points: Sequence[KvPoint] | None, edge_s: float, look: Look) -> None:
    if not points:
        no_strip(axes)
        return
    both = [
        (point.at_s, point.used_share + point.held_share)
        for point in points
        if point.held_share is not None
    ]
    fill(axes, both, edge_s, look, alpha=0.3)
    fill(axes, [(point.at_s, point.used_share) for point in points], edge_s, look)
    goes_on(axes, points[-1].at_s, edge_s, look)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1], ["0", "100%"])


def _calls(axes: Axes, points: Sequence[ToolsPoint] | None, edge_s: float, look: Look) -> None:
    if not points:
        no_strip(axes)
        return
    fill(axes, [(point.at_s, point.in_flight) for point in points], edge_s, look)


def _alike(column: Any) -> None:
    """One scale of tool calls for all backends of a place."""
    shown = [own for own in column if is_strip(own)]
    top = max((own.get_ylim()[1] for own in shown), default=1.0)
    for own in shown:
        own.set_ylim(0, max(top, 1.0))
        own.set_yticks([0, max(int(top), 1)])
