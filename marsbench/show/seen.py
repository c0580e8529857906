"""What is shown of a run: its figures, and what its charts are drawn of, read once.

Of a run that went to its end the figures lie in its files, and only samples are looked for among
its events; of one that is played, or was cut short, everything is computed in one pass over them.
"""

from __future__ import annotations

from array import array
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
        usage = run.stream({KvUsage.kind}).usage
        return SeenRun(run.summary(), total, roots(_sessions(run)), _evictions(run), usage)
    measured = run.measure()
    summary = run.summary() if run.complete else run.summary_until_now(measured)
    usage = measured.usage
    return SeenRun(summary, total, roots(measured.sessions), measured.evictions, usage)


def _sessions(run: RunFolder) -> list[SessionRecord]:
    columns = run.columns("sessions")
    rows = zip(*columns.values(), strict=True)
    return [SessionRecord(**dict(zip(columns, row, strict=True))) for row in rows]


def _evictions(run: RunFolder) -> EvictionSeries:
    columns = run.columns("evictions")
    blocks, live = (array("q", columns[name]) for name in ("blocks", "live_blocks"))
    return EvictionSeries(next(iter(columns["at_s"]), 0.0), blocks, live)
