"""Reads the sessions back out of a run of our own: what each asked for, and how long tools took.

Prompts, outputs, tool calls, sub-agents and arrivals are in its events. Which tokens sessions
shared, and what a tool's time was made of, is not: a tool call waits as long as it took there. A
branch begins with as much of its parent's context as its first round could have found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count, takewhile
from pathlib import Path

from marsbench.core.events import (
    Event,
    GpuEnd,
    GpuStart,
    GpuSubmit,
    SessionArrived,
    SessionEnded,
    ToolEnd,
    ToolStart,
)
from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.gathering import ImportResult, TrackSources, gather
from marsbench.formats.history import Lengths, grown_by_lengths
from marsbench.formats.reading import Contents, ReadError, Reading, SessionSource
from marsbench.runs import RunFolder
from marsbench.runs.event_file import event_file
from marsbench.runs.folder import CONFIG


@dataclass(slots=True)
class _Recorded:
    """What the events say of one session."""

    arrived: SessionArrived
    submits: dict[int, GpuSubmit] = field(default_factory=dict)
    starts: dict[int, GpuStart] = field(default_factory=dict)
    ends: dict[int, GpuEnd] = field(default_factory=dict)
    tools: dict[int, dict[int, tuple[ToolStart, float | None]]] = field(default_factory=dict)
    finished: bool = False

    def rounds(self) -> list[Lengths]:
        """The rounds that were answered, up to the first that was not."""
        answered = takewhile(lambda n: n in self.submits and n in self.ends, count())
        return [
            Lengths(self.submits[n].prompt_tokens, self.ends[n].output_tokens) for n in answered
        ]

    def growth(self) -> Iterator[tuple[Cut | None, int]]:
        """A prompt that is shorter than its history was cut; what was reusable of it was kept."""
        rounds = self.rounds()
        for number, (before, own) in enumerate(zip((None, *rounds[:-1]), rounds, strict=True)):
            whole = before is None or own.prompt >= before.prompt + before.output
            start = None if whole else self.starts.get(number)
            yield grown_by_lengths(before, own, None if start is None else start.reusable_tokens)


def import_run(run: RunFolder, track: TrackSources | None = None) -> ImportResult:
    """The sessions of a run, as they were played; one that was cut short ends where it did.

    Raises UsageError for events that are none of ours.
    """
    return gather((contents_of_run(run),), track)


def contents_of_run(run: RunFolder) -> Contents:
    """A source for every session that is nobody's sub-agent. Raises UsageError."""
    recorded = _recorded(run.events())
    return Contents(
        tuple(
            SessionSource(f"{run.path}: session {name}", partial(_read, name, recorded))
            for name, own in recorded.items()
            if own.arrived.parent is None
        )
    )


def read_run(path: Path, _fallback: Fallback) -> Contents:
    """The sessions of a run's folder. Raises UsageError for a folder that is none."""
    return contents_of_run(RunFolder.open(path))


def _recognised(head: Head) -> str | None:
    events = event_file(head.path)
    if events is None or not (head.path / CONFIG).is_file():
        return None
    return f"it is a run of marsbench ({CONFIG}, {events.name})"


def _recorded(events: Iterable[Event]) -> dict[str, _Recorded]:
    found: dict[str, _Recorded] = {}
    for event in events:
        if isinstance(event, SessionArrived):
            found[event.session] = _Recorded(event)
        else:
            _note(event, found)
    return found


def _note(event: Event, found: Mapping[str, _Recorded]) -> None:
    """Put the event where it belongs; those of the engine's inside are of no use here."""
    match event:
        case GpuSubmit():
            found[event.session].submits[event.round] = event
        case GpuStart() if not event.resumed:
            found[event.session].starts[event.round] = event
        case GpuEnd():
            found[event.session].ends[event.round] = event
        case ToolStart():
            calls = found[event.session].tools.setdefault(event.round, {})
            calls[event.call] = (event, None)
        case ToolEnd():
            calls = found[event.session].tools[event.round]
            calls[event.call] = (calls[event.call][0], event.at)
        case SessionEnded():
            found[event.session].finished = event.outcome == "finished"
        case _:
            pass


def _read(name: str, recorded: Mapping[str, _Recorded]) -> Reading:
    session = _session(name, recorded, recorded[name].arrived.at)
    short = [m.id for m in session.walk() if not recorded[m.id].finished]
    notes = tuple(f"{one!r} had not finished, and ends where it did" for one in short)
    return Reading(session, notes)


def _session(name: str, recorded: Mapping[str, _Recorded], arrival_s: float) -> Session:
    own = recorded[name]
    answered = own.rounds()
    if not answered:
        raise ReadError("none of its rounds was answered")
    pauses = [tuple(_tools(own, number, recorded)) for number in range(len(answered) - 1)]
    rounds = [
        Round(append, one.output, tools, cut)
        for one, tools, (cut, append) in zip(answered, (*pauses, ()), own.growth(), strict=True)
    ]
    start = None if own.arrived.parent is None else own.starts.get(0)
    forked = 0 if start is None else start.reusable_tokens or 0
    return Session(name, tuple(rounds), arrival_s, own.arrived.tenant, fork_tokens=forked)


def _tools(own: _Recorded, number: int, recorded: Mapping[str, _Recorded]) -> Iterator[ToolCall]:
    """The tool calls of a round; one that never ended took the time until the next round."""
    calls = own.tools.get(number, {})
    for _, (start, ended_at) in sorted(calls.items()):
        child = recorded.get(start.child) if start.child is not None else None
        if child is not None and child.rounds():
            begun_s = max(0.0, child.arrived.at - start.at)
            session = _session(child.arrived.session, recorded, begun_s)
            yield ToolCall(start.name, "agent", child=session)
        elif ended_at is None:
            raise ReadError(f"round {number}: tool {start.name!r} never ended, and a round follows")
        else:
            yield ToolCall(start.name, "wait", floor_s=ended_at - start.at)


def meta_of(run: RunFolder) -> dict[str, object]:
    """Where these sessions come from: the run's own inputs."""
    config = run.config
    return {
        "format": "run",
        "backend": config.backend,
        "engine": config.engine,
        "workload": config.workload,
        "workload_hash": config.workload_hash,
        "workload_meta": dict(config.workload_meta),
    }


FORMAT = Format(
    name="run",
    title="a run of marsbench",
    tried=("marsbench 0.1.0 (2026-10)",),
    recognise=_recognised,
    read=read_run,
    has_arrivals=True,
    takes_folders=True,
)
