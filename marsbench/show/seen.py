"""What is shown of a run: its figures, and what its charts are drawn of, read once.

Of a run that went to its end all of it lies in its files; an earlier marsbench wrote no table of
samples, and for them the events are read. Of a run that is played, or was cut short, everything is
computed in one pass over those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marsbench.core.events import KvUsage
from marsbench.core.metrics.cache import EvictionSeries
from marsbench.core.metrics.sessions import SessionRecord, roots
from marsbench.core.metrics.stream import UsageColumns
from marsbench.runs import RunFolder, RunSummary


@dataclass(frozen=True, slots=True)
class SeenRun:
    """A run's summary; its sessions without sub-agents, evictions by seconds, and samples."""

    summary: RunSummary
    total_blocks: int | None
    sessions: Sequence[SessionRecord]
    evictions: EvictionSeries
    usage: UsageColumns


def seen_in(run: RunFolder) -> SeenRun:
    """Raises UsageError for files that are not what they should be."""
    total = run.config.total_blocks
    if run.complete and run.has_table("sessions") and run.has_table("evictions"):
        return SeenRun(run.summary(), total, roots(_sessions(run)), _evictions(run), _usage(run))
    measured = run.measure()
    summary = run.summary() if run.complete else run.summary_until_now(measured)
    usage = measured.usage
    return SeenRun(summary, total, roots(measured.sessions), measured.evictions, usage)


def _sessions(run: RunFolder) -> list[SessionRecord]:
    columns = run.columns("sessions")
    rows = zip(*columns.values(), strict=True)
    return [SessionRecord(**dict(zip(columns, row, strict=True))) for row in rows]


def _evictions(run: RunFolder) -> EvictionSeries:
    columns = run.arrays("evictions")
    begin = next(iter(columns["at_s"]), 0.0)
    return EvictionSeries(begin, columns["blocks"], columns["live_blocks"])


def _usage(run: RunFolder) -> UsageColumns:
    if run.has_table("usage"):
        return UsageColumns(**run.arrays("usage"))
    return run.stream({KvUsage.kind}).usage
