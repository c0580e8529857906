"""Draws a workload's distributions as small multiples, with its recipe's targets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from marsbench.core.workload.exact import Floats
from marsbench.core.workload.files import Workload
from marsbench.core.workload.recipe import Quantity, Recipe
from marsbench.show.plots import require_plot
from marsbench.show.workload_check import UNITS, CheckRow, check, measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
_BLUE, _RED = "#4c72b0", "#c44e52"


def plot_workload(workload: Workload, recipe: Recipe | None, path: Path) -> None:
    """Write the figure; its format is the file's ending.

    Raises UsageError when the ending is unknown or the place cannot be written.
    """
    require_plot(path, "workload.png")
    from matplotlib.figure import Figure

    values = {name: v for name, v in measure(workload).items() if v.size > 1}
    checks = [] if recipe is None else check(workload, recipe)
    rows = -(-len(values) // _COLUMNS)
    figure = Figure(figsize=(4 * _COLUMNS, 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).flat
    for axis, (quantity, numbers) in zip(axes, values.items(), strict=False):
        _histogram(axis, quantity, numbers, [c for c in checks if c.quantity == quantity])
    for axis in list(axes)[len(values) :]:
        axis.set_visible(False)
    legend = "dashed: the recipe's targets" if checks else "no targets"
    figure.suptitle(f"{workload.name}: {len(workload.sessions)} sessions ({legend})")
    figure.savefig(path)


def _histogram(axis: Axes, quantity: Quantity, values: Floats, targets: list[CheckRow]) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    shown = _on_log_axis(values)
    if shown is None:
        shown = values
        axis.hist(shown, bins=_num_bins(shown), color=_BLUE)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    else:
        edges = np.geomspace(shown.min() * 0.999, shown.max() * 1.001, _num_bins(shown))
        axis.hist(shown, bins=list(edges), color=_BLUE)
        axis.set_xscale("log")
    for row in targets:
        _target(axis, row)
    title = quantity.removesuffix("_tokens").removesuffix("_s").replace("_", " ")
    axis.set_title(f"{title} (n = {values.size:,})", fontsize=10)
    unit = "seconds" if UNITS[quantity] == "s" else UNITS[quantity]
    zeros = 1 - shown.size / values.size
    axis.set_xlabel(f"{unit}; {zeros:.0%} are 0" if zeros else unit)
    axis.set_ylabel("count")


def _target(axis: Axes, row: CheckRow) -> None:
    axis.axvline(row.target, color=_RED, linestyle="--", linewidth=1)
    axis.annotate(
        f"p{row.share * 100:.0f}", (row.target, 1.0), xycoords=("data", "axes fraction"),
        xytext=(2, -9), textcoords="offset points", fontsize=7, color=_RED,
    )  # fmt: skip


def _on_log_axis(values: Floats) -> Floats | None:
    """The values above 0 where they span decades, else None: a linear axis shows them all."""
    positive = values[values > 0]
    if not positive.size or positive.max() < 30 * positive.min():
        return None
    return positive


def _num_bins(values: Floats) -> int:
    return min(40, 10 + values.size // 20)
