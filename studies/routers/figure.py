"""Mean latency behind each router, and what it found beside how even it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studies.routers.rows import PLAIN, Row, Spot, at, spots

ABREAST = 3
ORDER = ("s", "o", "^", "D", "v", "P")


def draw(rows: Sequence[Row], stem: Path) -> None:
    """STEM-latency.svg and STEM-cache.svg; of several seeds the first."""
    places = spots(rows)
    backends = list(dict.fromkeys(row.backend for row in rows))
    routers = sorted({row.router for row in rows})
    _saved(_latency(rows, places, routers, backends), stem.with_name(f"{stem.name}-latency.svg"))
    _saved(_cache(rows, places, routers), stem.with_name(f"{stem.name}-cache.svg"))


def _grid(places: Sequence[Spot], wide: float, high: float) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    rows = -(-len(places) // ABREAST)
    across = min(len(places), ABREAST)
    figure = Figure(figsize=(wide * across, high * rows), layout="constrained")
    axes = figure.subplots(rows, across, squeeze=False).flatten().tolist()
    for unused in axes[len(places) :]:
        unused.set_visible(False)
    return figure, axes


def _saved(figure: Any, path: Path) -> None:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    figure.savefig(path, metadata={"Date": None})


def _latency(
    rows: Sequence[Row], places: Sequence[Spot], routers: Sequence[str], backends: Sequence[str]
) -> Any:
    from matplotlib.ticker import LogLocator, NullLocator

    figure, grid = _grid(places, 4.2, 0.5 + 0.22 * len(routers))
    for axes, spot in zip(grid, places, strict=False):
        for mark, backend in zip(ORDER, backends, strict=False):
            own = at(rows, spot, backend)
            points = [(own[r].latency_s, n) for n, r in enumerate(routers) if r in own]
            known = [(x, y) for x, y in points if x is not None]
            if known:
                axes.plot(*zip(*known, strict=True), mark, label=backend, alpha=0.7)
        axes.set_yticks(range(len(routers)), routers, fontsize="small")
        axes.set(title=spot.title, xlabel="mean latency, s", xscale="log")
        axes.xaxis.set(
            major_locator=LogLocator(subs=(1, 2, 3, 5)),
            major_formatter="{x:,.0f}",
            minor_locator=NullLocator(),
        )
        axes.grid(axis="y", alpha=0.3)
    grid[0].legend(fontsize="small")
    return figure


def _cache(rows: Sequence[Row], places: Sequence[Spot], routers: Sequence[str]) -> Any:
    """A point a router: how uneven the replicas were busy, and the share of tokens found."""
    figure, grid = _grid(places, 4.2, 3.2)
    for axes, spot in zip(grid, places, strict=False):
        own = at(rows, spot, PLAIN)
        for number, router in enumerate(routers):
            row = own.get(router)
            if row is not None and row.busy_cv is not None and row.hit_share is not None:
                mark = ORDER[number // 10 % len(ORDER)]
                axes.plot([row.busy_cv], [row.hit_share], mark, color=f"C{number}", label=router)
        axes.set(title=spot.title, xlabel="CV of busy time", ylabel="share of prompts found")
    grid[0].legend(fontsize="xx-small", ncols=2)
    return figure
