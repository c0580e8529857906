"""What happened over time: a strip a backend, so that nothing lies on anything else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from marsbench.judge.compare.points import Place
from marsbench.judge.compare.values import EvictionPoint, KvPoint, ToolsPoint
from marsbench.report.axes import minutes
from marsbench.report.canvas import Course, Drawing, finished, height, panels, titled
from marsbench.report.figures.fence import mark
from marsbench.report.looks import Look
from marsbench.report.material import SHEET, Absent, Material, not_run, sheets
from marsbench.text.words import listed, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STRIP = 0.27
"""Inches of one row."""
MOST = 10
"""Rows of one figure: more would leave half of a page empty before it."""
NAMES = 0.6
"""What the names take beside the columns, in columns of several."""
NAME = 22
"""Letters of a row's name on one line."""
SHOWN = 3.0
"""How many times the shortest run's length is shown: the longest may take twenty times as long."""

Key = tuple[Place, str]
"""A place and a backend: whose strip it is."""
Courses = Mapping[Key, Sequence[Any]]
"""The points of each, in order of time."""


class Column(NamedTuple):
    """What the strips of a place show.

    title: of the column, around the place's. draw: a backend's points until an instant. scale: the
    strips of one place, of which the first place's have labels.
    """

    title: str
    courses: Courses
    draw: Callable[[Axes, Sequence[Any], float, Look], None]
    scale: Callable[[Sequence[Axes], bool], None]


def evictions(material: Material) -> Iterator[Drawing]:
    """All evicted blocks, in light; those of sessions under way, in full colour."""
    courses = _by_key(material.traces.evictions)
    if not courses:
        raise Absent("no run given has kept its evictions over time")
    caption = (
        "Blocks of 16 tokens a second that the KV cache dropped, at each workload's highest load, "
        "first seed; what is swapped to host memory is not among them. Light: all; dark: those of "
        "sessions still under way, which may have to be computed again. Blocks of ended sessions "
        "go in any case. The scale is linear up to 1 and logarithmic above."
    )
    top = max(point.blocks_per_s for own in courses.values() for point in own)

    def scale(strips: Sequence[Axes], labelled: bool) -> None:
        for own in strips:
            own.set_yscale("symlog", linthresh=1, linscale=0.4)
            own.set_ylim(0, max(top, 10) * 1.3)
            own.set_yticks([0, 1000], ["0", "1,000"])
            own.minorticks_off()
            own.tick_params(labelleft=labelled)

    columns = [Column("{}", courses, _evicted, scale)]
    yield from _drawings(material, columns, SHEET, "Evicted blocks a second over time.", caption)


def _evicted(axes: Axes, points: Sequence[EvictionPoint], edge_s: float, look: Look) -> None:
    _fill(axes, [(p.at_s, p.blocks_per_s) for p in points], edge_s, look, alpha=0.3)
    _fill(axes, [(p.at_s, p.live_blocks_per_s) for p in points], edge_s, look)
    _goes_on(axes, points[-1].at_s, edge_s, look)


def occupancy(material: Material) -> Iterator[Drawing]:
    """KV blocks in use and held as shares of the cache; tool calls at once."""
    kv, tools = _by_key(material.traces.kv), _by_key(material.traces.tools)
    if not kv and not tools:
        raise Absent("no run given has kept its events")
    caption = (
        "Left of each pair: share of the KV cache that running requests use (dark) and that is "
        "held for paused sessions (light); the rest is free or cached without a user. Right: tool "
        "calls in flight. At the workload's highest load, first seed."
    )
    columns = [
        Column("{}: KV", kv, _cache, lambda strips, _: None),
        Column("tools in flight", tools, _calls, _alike),
    ]
    # Each regime takes a column for the cache and one for tools.
    yield from _drawings(material, columns, 2, "KV cache and tools over time.", caption)


def _cache(axes: Axes, points: Sequence[KvPoint], edge_s: float, look: Look) -> None:
    both = [(p.at_s, p.used_share + p.held_share) for p in points if p.held_share is not None]
    _fill(axes, both, edge_s, look, alpha=0.3)
    _fill(axes, [(point.at_s, point.used_share) for point in points], edge_s, look)
    _goes_on(axes, points[-1].at_s, edge_s, look)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1], ["0", "100%"])


def _calls(axes: Axes, points: Sequence[ToolsPoint], edge_s: float, look: Look) -> None:
    _fill(axes, [(point.at_s, point.in_flight) for point in points], edge_s, look)


def _alike(strips: Sequence[Axes], _: bool) -> None:
    """One scale of tool calls for all backends of a place."""
    top = max((own.get_ylim()[1] for own in strips), default=1.0)
    for own in strips:
        own.set_ylim(0, max(top, 1.0))
        own.set_yticks([0, max(int(top), 1)])


def _by_key(points: Iterable[Any]) -> Courses:
    courses: defaultdict[Key, list[Any]] = defaultdict(list)
    for point in points:
        courses[point.place, point.backend].append(point)
    return dict(courses)


def _drawings(
    material: Material, columns: Sequence[Column], most: int, headline: str, caption: str
) -> Iterator[Drawing]:
    """A figure for so many regimes and MOST backends; those without a strip get no row."""
    # When each run ended, as far as it was traced: of what is shown first, where it is there.
    ends_s = {k: own[-1].at_s for one in reversed(columns) for k, own in one.courses.items()}
    for regimes in sheets(material.regimes, most):
        places = [regime.heaviest for regime in regimes]
        lacking = not_run(material, places, material.contenders, lambda *key: key in ends_s)
        edges_s = {p: _edge([end for k, end in ends_s.items() if k[0] == p]) for p in places}
        more = _ended(material, ends_s, edges_s) + lacking
        rows = [n for n in material.contenders if any((place, n) in ends_s for place in places)]
        for names in sheets(rows, MOST):
            figure = _figure(material, columns, edges_s, names)
            yield Drawing(figure, headline, caption + more)


def _edge(ends_s: Sequence[float]) -> float:
    """Until when a column is shown, in seconds: the longest run may be twenty times the others'."""
    return min(SHOWN * min(ends_s), max(ends_s)) if ends_s else 60.0


def _ended(material: Material, ends_s: Mapping[Key, float], edges_s: Mapping[Place, float]) -> str:
    """A sentence of a caption: when the runs ended that are longer than shown."""
    longer: dict[str, list[str]] = {}
    for (place, name), end_s in ends_s.items():
        if place in edges_s and end_s > edges_s[place]:
            told = f"{name} {end_s / 60:,.0f} min"
            longer.setdefault(material.matrix.title(place), []).append(told)
    if not longer:
        return ""
    told = "; ".join(f"{title}: {listed(own)}" for title, own in longer.items())
    return f" A mark on the right edge: the run goes on ({told})."


def _figure(
    material: Material,
    columns: Sequence[Column],
    edges_s: Mapping[Place, float],
    names: Sequence[str],
) -> Figure:
    titles = [c.title.format(material.matrix.title(place)) for place in edges_s for c in columns]
    figure, axes = _strips(names, titles)
    shown = [(place, column) for place in edges_s for column in columns]
    for number, (place, column) in enumerate(shown):
        drawn = []
        for own, name in zip(axes[:, number], names, strict=True):
            points = column.courses.get((place, name))
            if points:
                column.draw(own, points, edges_s[place], material.contenders[name])
                drawn.append(own)
            else:
                _no_strip(own)
        column.scale(drawn, number == 0)
    _finish(figure, axes)
    return figure


def _strips(names: Sequence[str], titles: Sequence[str]) -> tuple[Figure, Any]:
    """Panels with room for a backend a row, and these titles above the columns."""
    above = [titled(title, len(titles) + NAMES) for title in titles]
    high = height(len(names) * STRIP, titles=above)
    figure, axes = panels(len(names), len(titles), high=high, sharex="col")
    figure.set_layout_engine("constrained", hspace=0.0, h_pad=0.022)
    for own, title in zip(axes[0], above, strict=True):
        own.set_title(title, pad=4)
    for own, name in zip(axes[:, 0], names, strict=True):
        own.set_ylabel(wrapped(name, NAME, 2), rotation=0, ha="right", va="center", labelpad=4)
    return figure, axes


def _no_strip(axes: Axes) -> None:
    """Nothing where a backend was not run; its name stays, and the minutes below."""
    axes.set_frame_on(False)
    axes.grid(visible=False)
    axes.tick_params(left=False, labelleft=False)


def _fill(axes: Axes, at_s: Course, edge_s: float, look: Look, **more: Any) -> None:
    """A filled course over time, (instant, value) in equal spans, as far as it is shown."""
    axes.set_xlim(0, edge_s)
    shown = [point for point in at_s if point[0] <= edge_s]
    if len(shown) < 2:
        return
    half = (shown[1][0] - shown[0][0]) / 2
    edges = [max(0.0, shown[0][0] - half), *(at + half for at, _ in shown)]
    options: dict[str, Any] = {"color": look.color, "linewidth": 0, "fill": True}
    axes.stairs([value for _, value in shown], edges, **(options | more))


def _goes_on(axes: Axes, end_s: float, edge_s: float, look: Look) -> None:
    """A mark on the edge where a run is longer than its column shows."""
    if end_s > edge_s:
        mark(axes, "x", 0.5, look, transform=axes.transAxes)


def _finish(figure: Figure, axes: Any) -> None:
    """Minutes below the last row."""
    for column in range(axes.shape[1]):
        for own in axes[:-1, column]:
            own.tick_params(bottom=False)
        axes[-1, column].set_xlabel("minutes")
        minutes(axes[-1, column])
    figure.align_ylabels(axes[:, 0])
    finished(figure)
