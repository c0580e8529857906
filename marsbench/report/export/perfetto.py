"""Chrome's trace events in JSON, which ui.perfetto.dev and chrome://tracing open.

A track a session, with a further one for what runs beside another tool; counters of the engine.
Times are microseconds of the run's own clock, to the nanosecond, so that neighbours meet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from marsbench.core.events import KvUsage, Preempted
from marsbench.core.metrics.cache import eviction_series
from marsbench.core.metrics.window import Window
from marsbench.report.export.timeline import Phase, RunTimeline
from marsbench.runs import RunFolder

ENGINE, SESSIONS = 1, 2
_SAMPLED = {
    "KV blocks used": "used_blocks",
    "KV blocks held": "held_blocks",
    "running": "running",
    "waiting": "waiting",
    "tools in flight": "tools_in_flight",
}


def perfetto(path: Path) -> str:
    """The whole trace, an event a line. Raises UsageError for what is no run with events."""
    timeline = RunTimeline.read(path)
    events = [*_processes(), *_tracks(timeline), *_counters(RunFolder.open(path), timeline)]
    lines = ",\n".join(json.dumps(e, allow_nan=False, ensure_ascii=False) for e in events)
    about = json.dumps(_about(timeline), ensure_ascii=False)
    return f'{{"displayTimeUnit":"ms","otherData":{about},"traceEvents":[\n{lines}\n]}}\n'


def _about(timeline: RunTimeline) -> dict[str, str]:
    config = timeline.config
    named = {"run": timeline.name, "backend": config.backend, "workload": config.workload}
    return {**named, "engine": config.engine, "seed": str(config.seed)}


def _processes() -> Iterator[dict[str, Any]]:
    for pid, name in ((ENGINE, "engine"), (SESSIONS, "sessions")):
        yield _meta("process_name", pid, 0, name=name)
        yield _meta("process_sort_index", pid, 0, sort_index=pid)


def _meta(what: str, pid: int, tid: int, **args: object) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "ts": 0, "args": args}


def _tracks(timeline: RunTimeline) -> Iterator[dict[str, Any]]:
    numbers = count(1)
    for session in timeline.sessions:
        for lane, phases in enumerate(_lanes([*timeline.all_of(session)]) or [[]]):
            tid = next(numbers)
            name = session.session if not lane else f"{session.session} (beside, {lane})"
            yield _meta("thread_name", SESSIONS, tid, name=name)
            yield _meta("thread_sort_index", SESSIONS, tid, sort_index=tid)
            yield from (_span(phase, tid) for phase in phases)
            told = () if lane else timeline.preemptions.get(session.session, ())
            yield from (_preemption(event, tid) for event in told)


def _preemption(event: Preempted, tid: int) -> dict[str, Any]:
    args = {"round": event.round, "computed_tokens": event.computed_tokens}
    return {
        "ph": "i", "name": "preempted", "cat": "engine", "pid": SESSIONS, "tid": tid, "s": "t",
        "ts": _ns(event.at) / 1000, "args": args,
    }  # fmt: skip


def _lanes(phases: Sequence[Phase]) -> list[list[Phase]]:
    """The phases, in order of their begin, on as few lanes as keep those of each apart."""
    lanes: list[list[Phase]] = []
    for phase in sorted(phases, key=lambda p: (p.begin_at, p.end_at)):
        free = (lane for lane in lanes if lane[-1].end_at <= phase.begin_at)
        lane = next(free, None)
        if lane is None:
            lanes.append([phase])
        else:
            lane.append(phase)
    return lanes


def _span(phase: Phase, tid: int) -> dict[str, Any]:
    begin, end = _ns(phase.begin_at), _ns(phase.end_at)
    facts = {name: value for name, value in phase.facts.items() if value is not None}
    args = facts if phase.ended else {**facts, "ended": False}
    return {
        "ph": "X", "name": phase.name, "cat": phase.kind, "pid": SESSIONS, "tid": tid,
        "ts": begin / 1000, "dur": (end - begin) / 1000, "args": args,
    }  # fmt: skip


def _ns(at: float) -> int:
    return round(at * 1e9)


def _counters(run: RunFolder, timeline: RunTimeline) -> Iterator[dict[str, Any]]:
    """Samples where they were measured, and blocks evicted in each second."""
    for event in run.events({KvUsage.kind}):
        for name, attribute in _SAMPLED.items():
            value = getattr(event, attribute)
            if value is not None:
                yield _counter(name, event.at, value)
    yield from _evicted(timeline)


def _evicted(timeline: RunTimeline) -> Iterator[dict[str, Any]]:
    """A value where it changes, so that quiet hours cost nothing."""
    whole = Window(0.0, timeline.stream.end_s)
    last = 0
    for cell in eviction_series(timeline.stream, timeline.sessions, whole):
        if cell.blocks != last:
            yield _counter("KV blocks evicted /s", cell.at_s, cell.blocks)
        last = cell.blocks


def _counter(name: str, at: float, value: float) -> dict[str, Any]:
    return {
        "ph": "C", "name": name, "pid": ENGINE, "tid": 0, "ts": _ns(at) / 1000,
        "args": {"value": value},
    }  # fmt: skip
