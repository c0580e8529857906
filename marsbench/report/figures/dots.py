"""Dots: a row a name, so that names need no legend and values stand under one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from marsbench.report.canvas import GREY, panels
from marsbench.report.looks import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = 0.145
"""Inches a row."""


def dots(rows: Sequence[str], titles: Sequence[str], width: float) -> tuple[Figure, Any]:
    """Panels side by side with these rows, the first one on top."""
    figure, axes = panels(1, len(titles), width=width, sharey=True)
    figure.set_figheight(len(rows) * LINE + 0.75)
    for column, title in enumerate(titles):
        axes[0, column].set_title(title.replace(", ", "\n"))
        axes[0, column].grid(visible=True, axis="y", linewidth=0.3)
    axes[0, 0].set_yticks(range(len(rows)), rows)
    axes[0, 0].set_ylim(len(rows) - 0.5, -0.5)
    return figure, axes


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
