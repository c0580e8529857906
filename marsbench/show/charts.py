"""A run as three small charts: goodput against α, KV cache in use and evictions over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console

from marsbench.core.events import KvUsage
from marsbench.core.metrics.cache import EvictionCell
from marsbench.core.metrics.goodput import goodput
from marsbench.core.metrics.sessions import SessionRecord, roots
from marsbench.runs import RunFolder
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


def show_charts(run: RunFolder, console: Console) -> None:
    """Prints the charts of what the run measured; of what it did not, none."""
    charts = list(charts_of(run))
    width = max((len(chart.words) for chart in charts), default=0)
    rows = [
        (chart.name, sparkline(chart.values, chart.top), Styled(chart.words.ljust(width), "dim"))
        for chart in charts
    ]
    if rows:
        console.print()
        console.print(drawn(Table((), rows, "L")))


def charts_of(run: RunFolder) -> Iterator[Chart]:
    """The charts that can be drawn, computed from the run's events."""
    measured = run.measure()
    begin, end = _span(measured.evictions, measured.sessions)
    time = f"{begin:,.0f} to {end:,.0f} s"
    yield from _goodput(roots(measured.sessions))
    yield from _kv(run, begin, end, time)
    if measured.summary["evictions"]["blocks"] is not None:
        yield from _evictions(measured.evictions, begin, end, time)


def _span(cells: Sequence[EvictionCell], sessions: Sequence[SessionRecord]) -> tuple[float, float]:
    """The run, from its first arrival to its last second."""
    starts = [session.arrived_at for session in sessions]
    return min(starts, default=0.0), cells[-1].at_s + 1.0 if cells else 0.0


def _goodput(sessions: Sequence[SessionRecord]) -> Iterator[Chart]:
    low, high = ALPHAS
    alphas = [low + (high - low) * i / (WIDTH - 1) for i in range(WIDTH)]
    shares = [goodput(sessions, alpha, None)["share"] for alpha in alphas]
    known = [share for share in shares if share is not None]
    if known:
        peak = f"{percent(known[0])} to {percent(known[-1])}"
        yield Chart("goodput", shares, 1.0, f"α {low:g} to {high:g}", peak)


def _kv(run: RunFolder, begin: float, end: float, time: str) -> Iterator[Chart]:
    """Used by running requests and held for paused sessions, of all blocks."""
    total = run.config.total_blocks
    samples = [event for event in run.events() if isinstance(event, KvUsage)]
    used = [(s.at, s.used_blocks, s.held_blocks or 0) for s in samples if s.used_blocks is not None]
    known = [(at, float(blocks + held)) for at, blocks, held in used]
    if not known or not total:
        return
    peak = max(blocks for _, blocks in known) / total
    values = columns(known, begin, end, WIDTH)
    yield Chart("KV cache in use", values, float(total), time, f"peak {peak:.0%}")


def _evictions(
    cells: Sequence[EvictionCell], begin: float, end: float, time: str
) -> Iterator[Chart]:
    if not cells:
        return
    rates = columns([(cell.at_s, float(cell.blocks)) for cell in cells], begin, end, WIDTH)
    highest = max(rate for rate in rates if rate is not None)
    peak = f"peak {max(cell.blocks for cell in cells):,}/s"
    yield Chart("evicted blocks", rates, highest, time, peak)
