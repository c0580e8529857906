"""All that a page knows of one run, as JSON: lanes, spans at every grain, marks and stories."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from marsbench.core.events import EVENT_TYPES
from marsbench.core.metrics.sessions import SessionRecord
from marsbench.explore.lanes import Spans, spans_of
from marsbench.explore.levels import levels_of
from marsbench.explore.losses import marks_of
from marsbench.explore.owners import KvOwners
from marsbench.explore.series import Grid
from marsbench.judge.why.causes import LABELS
from marsbench.judge.why.explain import ExplainedRun
from marsbench.judge.why.story import story_of
from marsbench.report.export.timeline import RunTimeline
from marsbench.report.looks import CAUSE_COLORS
from marsbench.runs import RunFolder
from marsbench.text.numbers import seconds
from marsbench.text.progress import progress_bar

MARK_BINS = 2_000


@dataclass(frozen=True)
class Explored:
    """A run as its timeline and as its explanation; `label` is what the page calls it."""

    timeline: RunTimeline
    why: ExplainedRun
    label: str

    @staticmethod
    def read(path: Path, profile: Path | None = None) -> Explored:
        """Raises UsageError for what is no run with events and times alone."""
        why = ExplainedRun.read(path, profile, EVENT_TYPES)
        timeline = RunTimeline(why.name, RunFolder.open(path).config, why.stream)
        name, backend = timeline.name, why.backend
        return Explored(timeline, why, name if backend in name else f"{backend} ({name})")

    @property
    def end_s(self) -> float:
        return self.timeline.stream.end_s

    @cached_property
    def grid(self) -> Grid:
        return Grid(self.end_s)

    @cached_property
    def owners(self) -> KvOwners | None:
        """None where the engine does not say how large a block is."""
        config = self.timeline.config
        size, total = config.block_size, config.total_blocks
        if size is None:
            return None
        ended = {s.session: s.ended_at for s in self.timeline.sessions if s.ended_at is not None}
        return KvOwners.of(self.timeline.stream, ended, size, total, self.grid.edges[1:])


def lanes_of(runs: Sequence[Explored]) -> list[str]:
    """The sessions of all runs, the first's in their order: a lane is one session's in both."""
    names = dict.fromkeys(s.session for run in runs for s in run.timeline.sessions)
    return [*names]


def content_of(run: Explored, lanes: Sequence[str]) -> dict[str, Any]:
    """Of one run; times are milliseconds from its start."""
    place = {session: number for number, session in enumerate(lanes)}
    spans = spans_of(run.timeline, lanes)
    marks = marks_of(run.why, run.timeline, place, max(run.end_s, 1e-9) / MARK_BINS)
    return {
        "label": run.label,
        "end": _ms(run.end_s),
        "lanes": lanes,
        "sessions": _sessions(run, place),
        "levels": [_columns(level) for level in levels_of(spans, run.end_s)],
        "marks": {
            "lane": [mark.lane for mark in marks],
            "at": [_ms(mark.at) for mark in marks],
            "blocks": [mark.blocks for mark in marks],
            "told": [mark.told for mark in marks],
        },
        "kv": _kv(run, place),
        "causes": {name: [label, CAUSE_COLORS[name]] for name, label in LABELS.items()},
    }


def packed(content: Mapping[str, Any]) -> str:
    """Compressed, as text that stands in a page; the same content gives the same bytes."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _ms(at: float) -> int:
    return round(at * 1000)


def _columns(spans: Spans) -> dict[str, list[int]]:
    return {
        "lane": spans.lane.tolist(),
        "state": spans.state.tolist(),
        "round": spans.round.tolist(),
        "begin": [*map(_ms, spans.begin.tolist())],
        "end": [*map(_ms, spans.end.tolist())],
    }


def _kv(run: Explored, place: Mapping[str, int]) -> dict[int, list[int]]:
    """Blocks on the GPU of each lane that ever had some, a number a bin."""
    if run.owners is None:
        return {}
    own = run.owners.by_session.items()
    return {place[n]: [round(b) for b in blocks] for n, blocks in own if n in place}


def _sessions(run: Explored, place: Mapping[str, int]) -> dict[int, dict[str, Any]]:
    """By lane: what became of it, and its story."""
    told = {one.record.session: one for one in run.why.explained}
    found: dict[int, dict[str, Any]] = {}
    with progress_bar(f"stories of {run.label}", len(run.timeline.sessions)) as done:
        for record in run.timeline.sessions:
            own = told.get(record.session)
            about = run.why.sessions[record.session]
            found[place[record.session]] = {
                "parent": record.parent,
                "arrived": _ms(record.arrived_at),
                "ended": None if record.ended_at is None else _ms(record.ended_at),
                "completion_s": about.completion_s,
                "ideal_s": about.ideal_s,
                "causes": None if own is None else own.causes.known,
                "story": [_untold(about)] if own is None else story_of(run.why, own),
            }
            done(len(found))
    return found


def _untold(record: SessionRecord) -> str:
    """One sentence for a session that has no slowdown to explain."""
    if record.parent is not None:
        return f"{record.session} is a sub-agent of {record.parent}, whose story counts its delay."
    if record.completion_s is not None:
        return (
            f"{record.session} took {seconds(record.completion_s)} s; its time alone is not known."
        )
    return f"{record.session} is {record.outcome}{f': {record.reason}' if record.reason else ''}."
