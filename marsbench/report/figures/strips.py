"""Strips: a row a backend, time from left to right, so that nothing lies on anything else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from marsbench.judge.compare.points import Place
from marsbench.report.axes import minutes
from marsbench.report.canvas import Course, finished, height, panels, titled
from marsbench.report.figures.fence import mark
from marsbench.report.looks import Look
from marsbench.report.material import Material
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


def with_data(
    names: Sequence[str], places: Sequence[Place], known: Collection[Key]
) -> tuple[str, ...]:
    """The backends that have a strip at one of these places: the others get no row."""
    return tuple(name for name in names if any((place, name) in known for place in places))


def strips(names: Sequence[str], titles: Sequence[str]) -> tuple[Figure, Any]:
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


def edge_of(ends_s: Sequence[float]) -> float:
    """Until when a column is shown, in seconds: the longest run may be twenty times the others'."""
    return min(SHOWN * min(ends_s), max(ends_s)) if ends_s else 60.0


def finish(figure: Figure, axes: Any) -> None:
    """Minutes below the last row."""
    for column in range(axes.shape[1]):
        for own in axes[:-1, column]:
            own.tick_params(bottom=False)
        axes[-1, column].set_xlabel("minutes")
        minutes(axes[-1, column])
    figure.align_ylabels(axes[:, 0])
    finished(figure)


def fill(axes: Axes, at_s: Course, edge_s: float, look: Look, **more: Any) -> None:
    """A filled course over time, (instant, value) in equal spans, as far as it is shown."""
    axes.set_xlim(0, edge_s)
    shown = [point for point in at_s if point[0] <= edge_s]
    if len(shown) < 2:
        return
    half = (shown[1][0] - shown[0][0]) / 2
    edges = [max(0.0, shown[0][0] - half), *(at + half for at, _ in shown)]
    options: dict[str, Any] = {"color": look.color, "linewidth": 0, "fill": True}
    axes.stairs([value for _, value in shown], edges, **(options | more))


def goes_on(axes: Axes, end_s: float, edge_s: float, look: Look) -> None:
    """A mark on the edge where a run is longer than its column shows."""
    if end_s > edge_s:
        mark(axes, "x", 0.5, look, transform=axes.transAxes)


def ended(material: Material, ends_s: Mapping[Key, float], edges_s: Mapping[Place, float]) -> str:
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


def is_strip(axes: Axes) -> bool:
    """Whether anything was run there."""
    return bool(axes.get_frame_on())


def no_strip(axes: Axes) -> None:
    """Nothing where a backend was not run; its name stays, and the minutes below."""
    axes.set_frame_on(False)
    axes.grid(visible=False)
    axes.tick_params(left=False, labelleft=False)
