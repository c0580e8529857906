"""Reads TraceLab's traces of coding agents: a line a call of a model, with the tools behind it.

The tables that it makes of them for its runner are in `tracelab_runner.py`.

A session is one of Claude Code or Codex. Lines have no text: lengths are the recorded usage, and
times those of the events in a call. Only what is needed of a line is kept, packed, for a session's
lines may stand anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
from pydantic import Field

from marsbench.core.workload.generate import USER
from marsbench.formats.clock import seconds_of
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head, head_of
from marsbench.formats.opening import records_of
from marsbench.formats.reading import (
    Contents,
    Duration,
    Instant,
    ReadError,
    Reading,
    Record,
    SessionSource,
    Tokens,
    failed,
    json_of,
    record_of,
)
from marsbench.formats.timed import Talk, TimedCall, Usage, Use, reading_of
from marsbench.formats.tracelab_runner import is_runners, read_runners
from marsbench.formats.weka import CLIENT_GAP

_SENT = frozenset({"user_message", "tool_result"})
_WRITTEN = frozenset({"reasoning", "text", "tool_call"})

_Time = Annotated[Instant | datetime | None, Field(union_mode="left_to_right")]


class _Event(Record):
    event_type: str
    timestamp: _Time = None


class _Tool(Record):
    tool_name: str | None = None
    emitted_at: _Time = None
    result_at: _Time = None
    tool_wall_latency_ms: Duration | None = None


class _Line(Record):
    session_id: str
    round_index: int | None = Field(None, ge=0, le=10**9)
    round_id: str | None = None
    input_tokens_total: Tokens | None = None
    prefix_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    reasoning_output_tokens: Tokens | None = None
    timing_events: list[_Event] = Field(default_factory=list)
    tools: list[_Tool] = Field(default_factory=list)


class _Kept(msgspec.Struct, array_like=True):
    """What is kept of a line. uses: a name, when it was asked for, when it answered, how long."""

    id: str
    index: int
    sent_at: float | None
    ended_at: float | None
    by_user: bool
    usage: tuple[int | None, int | None, int | None, int | None]
    uses: list[tuple[str, float | None, float | None, float | None]]


_PACK = msgspec.msgpack.Encoder()
_UNPACK = msgspec.msgpack.Decoder(_Kept)


def read_tracelab(path: Path, fallback: Fallback) -> Contents:
    """The sessions of a trace, or of a table of its runner's."""
    if is_runners(head_of(path)):
        return read_runners(path, fallback)
    return Contents(_sources(path, fallback))


def _sources(path: Path, fallback: Fallback) -> Iterator[SessionSource]:
    sessions: dict[str, list[bytes]] = {}
    try:
        for place, text in records_of(path):
            try:
                line = record_of(_Line, json_of(text))
            except ReadError as error:
                yield failed(place, error)
            else:
                sessions.setdefault(line.session_id, []).append(_PACK.encode(_kept(line)))
    except ReadError as error:
        yield failed(str(path), error)
    for name, lines in sessions.items():
        yield SessionSource(f"{path}: session {name}", partial(_reading, name, lines, fallback))


def _kept(line: _Line) -> _Kept:
    """A call was sent when the last of what it answers had come, and ended with its last words."""
    sent = [(e, at) for e in line.timing_events
            if e.event_type in _SENT and (at := _at(e.timestamp)) is not None]  # fmt: skip
    written = [_at(e.timestamp) for e in line.timing_events if e.event_type in _WRITTEN]
    ends = [at for at in (*written, *(_at(tool.emitted_at) for tool in line.tools))
            if at is not None]  # fmt: skip
    last = max(sent, key=lambda pair: pair[1], default=None)
    return _Kept(
        line.round_id or "",
        -1 if line.round_index is None else line.round_index,
        last[1] if last is not None else min(ends, default=None),
        max(ends, default=None),
        last is not None and last[0].event_type == "user_message",
        # Without input nobody counted.
        (line.input_tokens_total or None, line.output_tokens, line.prefix_tokens,
         line.reasoning_output_tokens),
        [_use(tool) for tool in line.tools],
    )  # fmt: skip


def _use(tool: _Tool) -> tuple[str, float | None, float | None, float | None]:
    took_ms = tool.tool_wall_latency_ms
    return (
        tool.tool_name or "tool", _at(tool.emitted_at), _at(tool.result_at),
        None if took_ms is None else took_ms / 1000,
    )  # fmt: skip


def _at(time: float | datetime | None) -> float | None:
    return seconds_of(time) if isinstance(time, datetime) else time


def _reading(name: str, lines: Sequence[bytes], fallback: Fallback) -> Reading:
    found = _in_order([_UNPACK.decode(line) for line in lines])
    calls = [_call(one, number) for number, one in enumerate(found)]
    times = sorted(at for one in found for at in _times(one) if at is not None)
    return reading_of(Talk(name=name, calls=calls, times=times), fallback)


def _in_order(lines: Sequence[_Kept]) -> list[_Kept]:
    """By time, or by number where a time is missing; a line that is there twice is one call."""
    once = {one.id or str(number): one for number, one in enumerate(lines)}
    kept = list(once.values())
    if any(one.sent_at is None for one in kept):
        return sorted(kept, key=lambda one: one.index)
    return sorted(kept, key=lambda one: (one.sent_at or 0.0, one.index))


def _times(one: _Kept) -> list[float | None]:
    return [one.sent_at, one.ended_at, *(answered_at for _, _, answered_at, _ in one.uses)]


def _call(one: _Kept, number: int) -> TimedCall:
    return TimedCall(
        of=f"call {number}",
        sent_at=one.sent_at,
        ended_at=one.ended_at,
        usage=Usage(*one.usage),
        uses=[
            Use(name=name, asked_at=asked_at, answered_at=answered_at, took_s=took_s)
            for name, asked_at, answered_at, took_s in one.uses
        ],
        set_off_by=USER if one.by_user else CLIENT_GAP,
    )


def _recognised(head: Head) -> str | None:
    if head.has("session_id", "input_tokens_total", "prefix_tokens", "output_tokens"):
        return "its lines have input_tokens_total and prefix_tokens"
    if is_runners(head):
        return "its columns are those of TraceLab's runner"
    return None


FORMAT = Format(
    name="tracelab",
    title="a trace of TraceLab",
    tried=("0.0.2 (2026-06)", "its runner's tables of 2026-06"),
    recognise=_recognised,
    read=read_tracelab,
    has_arrivals=True,
)
