"""Short ways to tell what happened, so that a test shows only what matters to it."""

from __future__ import annotations

from collections.abc import Iterable

from marsbench.core.events import (
    Event,
    GpuEnd,
    GpuFirstToken,
    GpuStart,
    GpuSubmit,
    RoundReady,
    SessionAdmitted,
    SessionArrived,
    SessionEnded,
)
from marsbench.core.metrics.rounds import RoundRecord, rounds_of
from marsbench.core.metrics.sessions import SessionRecord, sessions_of
from marsbench.core.metrics.stream import Stream


def a_round(
    session: str,
    number: int = 0,
    *,
    ready: float = 0.0,
    submit: float | None = None,
    start: float | None = None,
    first: float | None = None,
    end: float | None = None,
    prompt: int = 160,
    output: int = 11,
    cached: int | None = 0,
    reusable: int | None = 0,
    loaded: int | None = 0,
) -> list[Event]:
    """A round that was submitted and started when it was ready, unless said otherwise."""
    submit = ready if submit is None else submit
    start = submit if start is None else start
    events: list[Event] = [
        RoundReady(ready, session, number),
        GpuSubmit(submit, session, number, prompt, output),
        GpuStart(start, session, number, cached, reusable, loaded_tokens=loaded),
    ]
    if first is not None:
        events.append(GpuFirstToken(first, session, number))
    if end is not None:
        events.append(GpuEnd(end, session, number, output))
    return events


def a_session(
    name: str,
    arrived: float = 0.0,
    ended: float | None = None,
    *,
    rounds: Iterable[Event] | None = None,
    outcome: str = "finished",
    tenant: str = "default",
    parent: str | None = None,
) -> list[Event]:
    """A session admitted as it arrives; with one round over its whole life if none are given."""
    if rounds is None:
        rounds = a_round(name, ready=arrived, first=ended, end=ended)
    start = [SessionArrived(arrived, name, tenant, parent), SessionAdmitted(arrived, name)]
    reason = None if outcome == "finished" else "the tool broke"
    end = [] if ended is None else [SessionEnded(ended, name, outcome, reason)]
    return [*start, *rounds, *end]


def told(*parts: Iterable[Event]) -> list[Event]:
    """All events in order of time; at one instant in the order given."""
    return sorted((event for part in parts for event in part), key=lambda event: event.at)


def records(
    *parts: Iterable[Event], ideal_s: dict[str, float] | None = None
) -> tuple[Stream, tuple[RoundRecord, ...], tuple[SessionRecord, ...]]:
    """The stream of a story with its rounds and sessions."""
    stream = Stream(told(*parts))
    rounds = rounds_of(stream)
    return stream, rounds, sessions_of(stream, rounds, ideal_s)


def sessions(
    *parts: Iterable[Event], ideal_s: dict[str, float] | None = None
) -> list[SessionRecord]:
    """The sessions of a story."""
    return list(records(*parts, ideal_s=ideal_s)[2])
