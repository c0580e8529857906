"""The map as pictures: who is best, and what each backend costs, over pauses, load and KV."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from marsbench.report.canvas import finished, our_style, panels
from marsbench.report.looks import LOOKS, SPARE, luminance
from studies.map.standing import Standing
from studies.map.worlds import CORES, SIZES, World, kv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = "cividis_r"
"""Even in lightness, and the same to colour-blind readers; dark is far from the best."""
WORST = 4.0
"""Times the best's latency: what is worse has the darkest colour."""
ROW, TITLE = 0.19, 0.42
"""Inches: a row of cells, and what stands around a panel."""
ABREAST = 2
SHORT = {
    "infercept-gpu-only": "infercept\ngpu only",
    "infercept-static": "infercept\nstatic",
    "continuum-static": "continuum\nstatic",
    "mars-published": "mars\npublished",
}
"""Names that are too long for a cell."""


class Grid(NamedTuple):
    """Rows and columns of the map, and the cell at each. columns: (KV tokens, load)."""

    rows: list[str]
    columns: list[tuple[int, float]]
    cells: Mapping[tuple[str, tuple[int, float]], Standing]

    @property
    def size(self) -> float:
        return ROW * len(self.rows) + TITLE


def grid(standings: Sequence[Standing]) -> Grid:
    """The map: pauses and contention from above, KV and load from the left."""
    cells = {(row_of(one.world), _column(one.world)): one for one in standings}
    order = sorted(standings, key=lambda one: (one.world.sizes != SIZES, -one.world.cores))
    rows = dict.fromkeys(row_of(one.world) for one in sorted(order, key=_by_pause))
    return Grid(list(rows), sorted({_column(one.world) for one in standings}), cells)


def _by_pause(one: Standing) -> tuple[bool, float]:
    return one.world.sizes != SIZES, one.world.pause_s


def row_of(world: World) -> str:
    """ "recorded", "contended, 512 cores"."""
    cores = [] if world.cores == CORES else [f"{world.cores} cores"]
    sizes = [] if world.sizes == SIZES else [world.sizes]
    return ", ".join([world.pauses, *cores, *sizes])


def _column(world: World) -> tuple[int, float]:
    return world.kv_tokens, world.load


def regrets(standings: Sequence[Standing], names: Sequence[str]) -> Figure:
    """A panel a backend of most cells: times the mean latency of the cell's best."""
    found, names = grid(standings), _frequent(standings, names)
    rows = -(-len(names) // ABREAST)
    with our_style(**{"axes.grid": False}):
        figure, axes = panels(rows, ABREAST, high=rows * found.size + 0.5, sharex=True, sharey=True)
        for place, name in zip(axes.flat, names, strict=False):
            _panel(place, found, name)
        _labels(axes, found)
        for place in list(axes.flat)[len(names) :]:
            place.set_axis_off()
            axes[max(rows - 2, 0), -1].tick_params(labelbottom=True)
        finished(figure)
    return figure


def _frequent(standings: Sequence[Standing], names: Sequence[str]) -> list[str]:
    """Those that were played in half of the cells or more; the table has the others."""
    played = {name: sum(name in one.points for one in standings) for name in names}
    return [name for name in names if 2 * played[name] >= len(standings)]


def _panel(axes: Axes, found: Grid, name: str) -> None:
    axes.set_title(name)
    values = [[_regret(found.cells.get((r, c)), name) for c in found.columns] for r in found.rows]
    axes.imshow(
        [[math.nan if v is None else min(v, WORST) for v in row] for row in values],
        cmap=COLORS,
        norm=_scale(),
        aspect="auto",
    )
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            if value is not None:
                best = found.cells[found.rows[y], found.columns[x]].best == name
                _write(axes, x, y, _times(value), value > 1.8, bold=best)
    _bars(axes, found)


def _scale() -> Any:
    from matplotlib.colors import LogNorm

    return LogNorm(1.0, WORST)


def _regret(one: Standing | None, name: str) -> float | None:
    if one is None or name not in one.regrets:
        return None
    return max(1.0, one.regrets[name].times)


def _times(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 1.095 else "1"


def _write(axes: Axes, x: int, y: int, text: str, dark: bool, *, bold: bool = False) -> None:
    axes.text(
        x, y, text, ha="center", va="center", color="white" if dark else "black",
        fontweight="bold" if bold else "normal", linespacing=0.9,
    )  # fmt: skip


def _bars(axes: Axes, found: Grid) -> None:
    """White lines between the capacities."""
    for x in range(1, len(found.columns)):
        if found.columns[x][0] != found.columns[x - 1][0]:
            axes.axvline(x - 0.5, color="white", linewidth=2.5)


def _labels(axes: Any, found: Grid) -> None:
    ticks = range(len(found.columns))
    for place in axes.flat:
        place.set_xticks(ticks, [_tick(found, x) for x in ticks])
        place.set_yticks(range(len(found.rows)), found.rows)
        place.tick_params(length=0)


def _tick(found: Grid, x: int) -> str:
    """The load, and below the first of a capacity that."""
    tokens, load = found.columns[x]
    first = x == 0 or found.columns[x - 1][0] != tokens
    return f"{load:g}\n{kv(tokens).removesuffix(' tokens')}" if first else f"{load:g}"


def winners(standings: Sequence[Standing]) -> Figure:
    """Who is best in each cell; smaller print where others are level with it."""
    found = grid(standings)
    with our_style(**{"axes.grid": False}):
        figure, axes = panels(1, 1, high=len(found.rows) * 0.36 + 0.7)
        (place,) = axes.flat
        place.set_xlim(-0.5, len(found.columns) - 0.5)
        place.set_ylim(len(found.rows) - 0.5, -0.5)
        for (row, column), one in found.cells.items():
            _winner(place, found.columns.index(column), found.rows.index(row), one)
        _bars(place, found)
        _labels(axes, found)
        place.set_xlabel("load, and below it the KV cache (tokens)")
        finished(figure)
    return figure


def _winner(axes: Axes, x: int, y: int, one: Standing) -> None:
    from matplotlib.patches import Rectangle

    color = color_of(one.best)
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=color, edgecolor="white"))
    level = f"\n+{len(one.level)} level" if one.level else ""
    text = f"{SHORT.get(one.best, one.best)}{level}"
    _write(axes, x, y, text, luminance(color) < 0.5)


def color_of(name: str) -> str:
    """That of every report; what no report has looks like the first of others."""
    return LOOKS.get(name, SPARE[0]).color
