"""Dots: a row a name, so that names need no legend and values stand under one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from marsbench.report.canvas import GREY, LINE, finished, height, legend, panels, titled
from marsbench.report.figures.fence import Fence, said
from marsbench.report.looks import Look
from marsbench.report.material import sheets
from marsbench.text.words import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = 0.6
"""What the names take beside the panels, in panels of several."""
NAME = 40
"""Letters of a row's name on one line."""
MOST = 21
"""Lines of names in one figure: more would leave half of a page empty before it."""
ROW = 0.15
"""Inches a line."""


Item = TypeVar("Item")


def rows_of(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """The names in groups that have room in one figure."""
    yield from sheets(names, MOST // _lines([wrapped(name, NAME) for name in names]))


def dots(
    rows: Sequence[str],
    columns: Mapping[str, Item],
    draw: Callable[[Axes, Item], Fence | None],
    label: str = "",
    key: Sequence[Any] = (),
) -> tuple[Figure, str]:
    """Panels side by side with these rows, and a sentence on the axes that end early.

    columns: what each panel is of, by its title. label: of every horizontal axis. key: of the
    legend.
    """
    figure, axes = _panels(rows, list(columns), 1 if key else 0)
    fences = []
    for own, (title, item) in zip(axes[0], columns.items(), strict=True):
        fences.append((title.replace("\n", " "), draw(own, item)))
        if label:
            own.set_xlabel(label)
    if key:
        legend(figure, key)
    finished(figure)
    return figure, said(fences)


def _panels(rows: Sequence[str], titles: Sequence[str], legends: int) -> tuple[Figure, Any]:
    """The first row on top, below so many lines of legend."""
    names = [wrapped(row, NAME) for row in rows]
    above = [titled(title, len(titles) + NAMES) for title in titles]
    high = height(len(rows) * _lines(names) * ROW + legends * LINE, titles=above)
    figure, axes = panels(1, len(titles), high=high, sharey=True)
    for own, title in zip(axes[0], above, strict=True):
        own.set_title(title)
        own.grid(visible=True, axis="y", linewidth=0.3)
    axes[0, 0].set_yticks(range(len(rows)), names)
    axes[0, 0].set_ylim(len(rows) - 0.5, -0.5)
    return figure, axes


def _lines(names: Sequence[str]) -> int:
    return max((name.count("\n") + 1 for name in names), default=1)


def dot(axes: Axes, x: float, y: float, look: Look, marker: str | None = None, **more: Any) -> None:
    """One value."""
    options: dict[str, Any] = {
        "marker": marker or look.marker,
        "markersize": 4.5 if (marker or look.marker) == "*" else 3.6,
        "color": look.color,
        "markerfacecolor": "white" if look.hollow else look.color,
        "markeredgecolor": look.color,
        "markeredgewidth": 0.7,
        "linestyle": "",
        "zorder": 3,
    }
    axes.plot([x], [y], **(options | more))


def span(axes: Axes, low: float | None, high: float | None, y: float, look: Look) -> None:
    """Its interval."""
    if low is not None and high is not None:
        axes.plot([low, high], [y, y], color=look.color, linewidth=0.8, zorder=2)


def at_one(axes: Axes) -> None:
    """Where both are the same."""
    axes.axvline(1.0, color=GREY, linewidth=0.6, zorder=1)
