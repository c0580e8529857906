"""How full the machine was: KV blocks in use, tool calls, those that burn CPU, rounds waiting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypedDict

from marsbench.core.events import ToolEnd, ToolStart
from marsbench.core.metrics.percentiles import mean
from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.stream import Stream
from marsbench.core.metrics.window import Window

Interval = tuple[float, float]


class Level(TypedDict):
    """A quantity over time: its mean and its highest value."""

    mean: float | None
    peak: float | None


class MachineUsage(TypedDict):
    """KV blocks of running requests and of held sessions; as shares of `total_blocks` too.

    Cached blocks without a user are in neither: they are free for the taking.
    """

    samples: int
    total_blocks: int | None
    used_blocks: Level
    held_blocks: Level
    used_share: Level
    held_share: Level


class Waiting(TypedDict):
    """Mean number of rounds that are ready and have not started, admission included.

    by_quarter: in each quarter of the time from first to last arrival; None for a burst.
    """

    mean: float | None
    by_quarter: list[float] | None


def kv_usage(stream: Stream, total_blocks: int | None = None) -> MachineUsage:
    """The engine's samples as levels: equally spaced, none taken while nothing was under way.

    total_blocks: all blocks of the cache; without it there are no shares.
    """
    used, held = _level(stream.usage.used_blocks), _level(stream.usage.held_blocks)
    return {
        "samples": len(stream.usage.at),
        "total_blocks": total_blocks,
        "used_blocks": used,
        "held_blocks": held,
        "used_share": _share(used, total_blocks),
        "held_share": _share(held, total_blocks),
    }


def _level(samples: Iterable[float]) -> Level:
    known = [value for value in samples if not math.isnan(value)]
    return {"mean": mean(known), "peak": max(known, default=None)}


def _share(level: Level, total: int | None) -> Level:
    average, peak = level["mean"], level["peak"]
    if total is None or average is None or peak is None:
        return {"mean": None, "peak": None}
    return {"mean": average / total, "peak": peak / total}


def tools_in_flight(stream: Stream, run: Window | None) -> Level:
    """Tool calls running at once over the whole run, those that only wait (people) included.

    Sub-agents are none. A call that never ended counts until the stream's end.
    """
    return _calls_at_once(stream, run, [e for e in stream.of(ToolStart) if e.child is None])


def cpu_calls(stream: Stream, run: Window | None) -> Level:
    """Those of them that burn CPU: the load of the tool host. None where one call hides it."""
    starts = [e for e in stream.of(ToolStart) if e.child is None]
    if any(e.burns_cpu is None for e in starts):
        return {"mean": None, "peak": None}
    return _calls_at_once(stream, run, [e for e in starts if e.burns_cpu])


def _calls_at_once(stream: Stream, run: Window | None, starts: Iterable[ToolStart]) -> Level:
    if run is None:
        return {"mean": None, "peak": None}
    ends = {(e.session, e.round, e.call): e.at for e in stream.of(ToolEnd)}
    calls = [(e.at, ends.get((e.session, e.round, e.call), stream.end_s)) for e in starts]
    return {"mean": mean_in_flight(calls, run), "peak": float(_peak(calls))}


def waiting(rounds: Sequence[RoundRecord], run: Window | None, arriving: Window | None) -> Waiting:
    """Rounds in the queue over the whole run, and by quarters of the arrivals."""
    hidden = any(
        r.ended_at is not None and r.started_at is None and r.first_token_at is None for r in rounds
    )
    if run is None or hidden:
        return {"mean": None, "by_quarter": None}
    spans = [(r.ready_at, _left_queue_at(r, run.to_s)) for r in rounds]
    quarters = [mean_in_flight(spans, q) for q in _quarters(arriving)] if arriving else None
    return {"mean": mean_in_flight(spans, run), "by_quarter": quarters}


def _left_queue_at(rnd: RoundRecord, end_s: float) -> float:
    """When the round stopped waiting: an engine that hides starts shows the first token."""
    for at in (rnd.started_at, rnd.first_token_at):
        if at is not None:
            return at
    return end_s


def _quarters(window: Window) -> list[Window]:
    step = window.length_s / 4
    return [Window(window.from_s + i * step, window.from_s + (i + 1) * step) for i in range(4)]


def mean_in_flight(intervals: Iterable[Interval], window: Window) -> float:
    """How many intervals are open at an instant of the window, on average."""
    inside = (min(end, window.to_s) - max(start, window.from_s) for start, end in intervals)
    return math.fsum(max(0.0, length) for length in inside) / window.length_s


def _peak(intervals: Iterable[Interval]) -> int:
    """The most intervals open at once; one that ends when another starts does not overlap it."""
    changes = sorted(c for start, end in intervals for c in ((start, 1), (end, -1)) if end > start)
    level = peak = 0
    for _, change in changes:
        level += change
        peak = max(peak, level)
    return peak
