"""What happened over time: evictions, KV usage and tool calls of one run a point."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from marsbench.core.events import (
    GpuEnd,
    KvUsage,
    SessionEnded,
    ToolEnd,
    ToolStart,
)
from marsbench.core.metrics.stream import Stream
from marsbench.judge.compare.kinds import PAPER_BLOCK
from marsbench.judge.compare.values import (
    Comparison,
    EvictionPoint,
    KvPoint,
    RunSource,
    ToolsPoint,
    Traces,
)
from marsbench.runs import RunFolder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# With the ends of rounds and sessions, so that a trace ends when its run does.
KINDS = {event.kind for event in (KvUsage, ToolStart, ToolEnd, GpuEnd, SessionEnded)}
TRACE_POINTS = 240
"""A trace has at most this many points: more than a column of print can show."""


def traces(found: Comparison) -> Traces:
    """The first run of every backend at every place, from its events: a tenth of a second each.

    A run that was kept without its events has none.
    """
    evictions: list[EvictionPoint] = []
    kv: list[KvPoint] = []
    tools: list[ToolsPoint] = []
    for source in first_runs(found.sources):
        run = RunFolder.open(Path(source.path))
        if not run.has_events:
            continue
        stream = run.stream(KINDS)
        evictions += _evictions(source, run)
        kv += _kv(source, stream, run.config.total_blocks)
        tools += _tools(source, stream)
    return Traces(tuple(evictions), tuple(kv), tuple(tools))


def first_runs(sources: Iterable[RunSource]) -> list[RunSource]:
    """Of every backend at every place the first, which is its first seed's."""
    firsts: dict[tuple[object, str], RunSource] = {}
    for source in sources:
        firsts.setdefault((source.place, source.backend), source)
    return [*firsts.values()]


def _evictions(source: RunSource, run: RunFolder) -> Iterator[EvictionPoint]:
    """Blocks a second, from the run's table of seconds."""
    size = run.config.block_size
    table = run.table("evictions")
    if size is None or table.empty or "evicted" in run.config.unmeasured:
        return
    at = table["at_s"].to_numpy(dtype=float)
    rates = [table[name].to_numpy(dtype=float) for name in ("blocks", "live_blocks")]
    for spot, blocks, live in _averaged(at, rates):
        scale = size / PAPER_BLOCK
        where = (source.place, source.backend, source.seed, spot)
        yield EvictionPoint(*where, blocks * scale, live * scale)


def _kv(source: RunSource, stream: Stream, total: int | None) -> Iterator[KvPoint]:
    import numpy as np

    usage = stream.usage
    known = ~np.isnan(np.array(usage.used_blocks))
    if not known.any() or not total:
        return
    # An engine that cannot see holds says None, which is NaN here and None again in the points.
    columns = [np.array(column)[known] / total for column in (usage.used_blocks, usage.held_blocks)]
    for at, used, held in _averaged(np.array(usage.at)[known], columns):
        told = None if math.isnan(held) else held
        yield KvPoint(source.place, source.backend, source.seed, at, used, told)


def _averaged(at: Floats, columns: Sequence[Floats]) -> Iterator[tuple[float, ...]]:
    """Neighbours averaged, so that at most TRACE_POINTS are left: (instant, each column)."""
    import numpy as np

    parts = np.array_split(np.arange(len(at)), min(len(at), TRACE_POINTS))
    for part in parts:
        yield (float(at[part].mean()), *(float(column[part].mean()) for column in columns))


def _tools(source: RunSource, stream: Stream) -> Iterator[ToolsPoint]:
    """Calls in flight in equal spans of the run; sub-agents, which use no tool host, not."""
    import numpy as np

    ends = {(e.session, e.round, e.call): e.at for e in stream.of(ToolEnd)}
    calls = [
        (e.at, ends.get((e.session, e.round, e.call), stream.end_s))
        for e in stream.of(ToolStart)
        if e.child is None
    ]
    if not calls or stream.end_s <= 0:
        return
    edges = np.linspace(0.0, stream.end_s, TRACE_POINTS + 1)
    starts, stops = np.array(calls).T
    inside = np.minimum(stops[:, None], edges[1:]) - np.maximum(starts[:, None], edges[:-1])
    levels = np.clip(inside, 0.0, None).sum(axis=0) / np.diff(edges)
    for at, level in zip((edges[:-1] + edges[1:]) / 2, levels, strict=True):
        yield ToolsPoint(source.place, source.backend, source.seed, float(at), float(level))
