"""A run as three small charts: goodput against α, KV cache in use and evictions over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from marsbench.core.metrics.cache import EvictionSeries
from marsbench.core.metrics.goodput import goodput
from marsbench.core.metrics.sessions import SessionRecord
from marsbench.show.seen import SeenRun
from marsbench.text.console import drawn
from marsbench.text.numbers import percent
from marsbench.text.sparklines import columns, sparkline
from marsbench.text.tables import Styled, Table

WIDTH = 32
ALPHAS = (1.0, 10.0)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its name, the axis below it in words, and its highest value."""

    name: str
    values: Sequence[float | None]
    top: float
    axis: str
    peak: str

    @property
    def words(self) -> str:
        """What stands beside it: its axis and its highest value."""
        return f"{self.axis}, {self.peak}"


def show_charts(found: SeenRun, console: Console) -> None:
    """Prints the charts of what the run measured; of what it did not, none."""
    charts = list(charts_of(found))
    width = max((len(chart.words) for chart in charts), default=0)
    rows = [
        (chart.name, sparkline(chart.values, chart.top), Styled(chart.words.ljust(width), "dim"))
        for chart in charts
    ]
    if rows:
        console.print()
        console.print(drawn(Table((), rows, "L")))


def charts_of(found: SeenRun) -> Iterator[Chart]:
    """The charts that can be drawn."""
    begin, end = _span(found)
    time = f"{begin:,.0f} to {end:,.0f} s"
    yield from _goodput(found.sessions)
    yield from _kv(found, begin, end, time)
    if found.summary["evictions"]["blocks"] is not None:
        yield from _evictions(found.evictions, begin, end, time)


def _span(found: SeenRun) -> tuple[float, float]:
    """The run, from its first arrival to its last second."""
    starts = [session.arrived_at for session in found.sessions]
    cells = found.evictions
    return min(starts, default=0.0), cells[-1].at_s + 1.0 if cells else 0.0


def _goodput(sessions: Sequence[SessionRecord]) -> Iterator[Chart]:
    low, high = ALPHAS
    alphas = [low + (high - low) * i / (WIDTH - 1) for i in range(WIDTH)]
    shares = [goodput(sessions, alpha, None)["share"] for alpha in alphas]
    known = [share for share in shares if share is not None]
    if known:
        peak = f"{percent(known[0])} to {percent(known[-1])}"
        yield Chart("goodput", shares, 1.0, f"α {low:g} to {high:g}", peak)


def _kv(found: SeenRun, begin: float, end: float, time: str) -> Iterator[Chart]:
    """Used by running requests and held for paused sessions, of all blocks."""
    total, usage = found.total_blocks, found.usage
    used = np.asarray(usage.used_blocks)
    known = ~np.isnan(used)
    if not known.any() or not total:
        return
    blocks = used[known] + np.nan_to_num(np.asarray(usage.held_blocks)[known])
    peak = float(blocks.max()) / total
    values = columns(np.asarray(usage.at)[known], blocks, begin, end, WIDTH)
    yield Chart("KV cache in use", values, float(total), time, f"peak {peak:.0%}")


def _evictions(cells: EvictionSeries, begin: float, end: float, time: str) -> Iterator[Chart]:
    if not cells:
        return
    rates = columns(cells.at_s, cells.blocks, begin, end, WIDTH)
    highest = max(rate for rate in rates if rate is not None)
    peak = f"peak {max(cells.blocks):,}/s"
    yield Chart("evicted blocks", rates, highest, time, peak)
