"""Strips: a row a backend, time from left to right, so that nothing lies on anything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from marsbench.report.axes import minutes
from marsbench.report.canvas import GREY, Course, finished, panels
from marsbench.report.looks import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STRIP = 0.335
"""Inches of one row."""
SHOWN = 3.0
"""How many times the shortest run's length is shown: the longest may take twenty times as long."""


def strips(names: Sequence[str], titles: Sequence[str], width: float) -> tuple[Figure, Any]:
    """Panels with room for a backend a row, and these titles above the columns."""
    figure, axes = panels(len(names), len(titles), width=width, row_height=STRIP, sharex="col")
    figure.set_figheight(len(names) * STRIP + 0.55)
    figure.set_layout_engine("constrained", hspace=0.0, h_pad=0.022)
    for column, title in enumerate(titles):
        axes[0, column].set_title(title.replace(", ", "\n"), pad=9)
    return figure, axes


def name_rows(axes: Any, names: Sequence[str]) -> None:
    """The backend's name left of each row."""
    for row, name in enumerate(names):
        shown = name.replace("-static", "\n-static").replace("-released", "\n-released")
        axes[row, 0].set_ylabel(shown, rotation=0, ha="right", va="center", labelpad=4)


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
    if len(shown) < len(at_s):
        _goes_on(axes, at_s[-1][0])


def blank(axes: Axes) -> None:
    """The place of a backend that was not run there, or of what was not measured."""
    axes.tick_params(left=False, labelleft=False, bottom=False)
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color=GREY)


def _goes_on(axes: Axes, end_s: float) -> None:
    text = f"→ {end_s / 60:,.0f} min"
    told = axes.text(1, 1.01, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=5.5)
    # Rows are equally high with it and without.
    told.set_in_layout(False)
