"""Reads trajectories of mini-swe-agent (.traj.json), one session a file.

A tool's time is from the reply's time stamp to the tool's. Early versions wrote neither time
stamps nor token usage. Version 1 answers a tool in a message of the user and stamps all messages;
version 2 stamps replies and tools in `extra`, and has the Responses API's own messages where that
is used. A reply that could not be parsed is no message: since 2.2.8 the complaint that stands in
its place carries it, and it is a round like any other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field

from marsbench.core.session import ToolCall
from marsbench.core.workload.generate import USER
from marsbench.formats.calls import RecordedCall, session_of_calls
from marsbench.formats.clock import ToolClock, span_of
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.gathering import ImportResult, TrackSources, gather
from marsbench.formats.messages import Message, Turn, messages_of, system_text, turns_of
from marsbench.formats.opening import document_sources
from marsbench.formats.reading import (
    Contents,
    Instant,
    ReadError,
    Reading,
    Record,
    Stated,
    Tokens,
    record_of,
)

SUFFIX = ".traj.json"
TOOL = "bash"
"""mini-swe-agent has this one tool."""

VERSION_1 = "mini-swe-agent-1"
_ACTION = re.compile(r"```bash\s*\n(.*?)\n```", re.DOTALL)
"""What version 1 runs: a reply with none or several ran nothing (its `action_regex`)."""


class _Usage(Record):
    prompt: Tokens | None = Field(
        None, validation_alias=AliasChoices("prompt_tokens", "input_tokens")
    )
    output: Tokens | None = Field(
        None, validation_alias=AliasChoices("completion_tokens", "output_tokens")
    )


_NOT_COUNTED = _Usage.model_validate({})


class _Response(Record):
    usage: _Usage | None = None


class _Extra(Record):
    timestamp: Instant | None = None
    interrupt_type: str | None = None
    response: Any = None


class _Stamped(Record):
    """What a message says beyond its text. `usage`: of a reply of the Responses API."""

    timestamp: Instant | None = None
    usage: _Usage | None = None
    extra: _Extra | None = None

    @property
    def at(self) -> float | None:
        own = None if self.extra is None else self.extra.timestamp
        return self.timestamp if own is None else own


class _Stats(Record):
    api_calls: int | None = Field(None, ge=0, le=10**9)


class _Info(Record):
    model_stats: _Stats | None = None


class _Whole(Record):
    messages: Any
    info: _Info | None = None
    trajectory_format: str | None = None
    instance_id: str | int | None = None


def import_miniswe(
    paths: Sequence[Path], fallback: Fallback, track: TrackSources | None = None
) -> ImportResult:
    """The sessions of these trajectories."""
    return gather((FORMAT.contents(path, fallback) for path in paths), track)


def read_miniswe(path: Path, fallback: Fallback) -> Contents:
    """One session."""
    return document_sources(path, partial(miniswe_session, fallback=fallback), SUFFIX)


def _recognised(head: Head) -> str | None:
    if head.has("messages", "info") or head.has("messages", "trajectory_format"):
        return "it has messages and what mini-swe-agent says of itself"
    if not head.path.name.removesuffix(".gz").endswith(SUFFIX):
        return None
    if head.has("role", "content"):
        return f"it is a list of messages and named {SUFFIX}"
    if head.has("messages"):
        return f"it has messages and is named {SUFFIX}"
    return None


def miniswe_session(record: Any, name: str, fallback: Fallback) -> Reading:
    """The session of a trajectory: an object with `messages`, or their list alone."""
    whole = record_of(_Whole, record if isinstance(record, Mapping) else {"messages": record})
    messages = _with_lost_replies(messages_of(whole.messages))
    stamps = [_stamped(message, number) for number, message in enumerate(messages)]
    by_id = {id(message): stamp for message, stamp in zip(messages, stamps, strict=True)}
    turns = turns_of(messages)
    reader = _Reader(by_id, whole.trajectory_format == VERSION_1, _has_tool_role(messages))
    clock = ToolClock(fallback, any(reader.is_timed(turn) for turn in turns))
    calls = [reader.call(turn, number, clock) for number, turn in enumerate(turns)]
    own = str(name if whole.instance_id in (None, "") else whole.instance_id)
    stats = whole.info and whole.info.model_stats
    stated = Stated(
        span_s=span_of(stamp.at for stamp in stamps),
        num_calls=(stats.api_calls or None) if stats else None,
    )
    session = session_of_calls(own, calls, fallback, system_text(messages))
    return Reading(session, stated=stated, repairs=tuple(clock.repairs))


def _with_lost_replies(messages: Sequence[Message]) -> list[Message]:
    """Each with its role; in front of a complaint about a reply that was recorded, that reply."""
    found: list[Message] = []
    for message in messages:
        extra = message.get("extra")
        response = extra.get("response") if isinstance(extra, Mapping) else None
        if _is_interrupt(message) and isinstance(response, Mapping) and response.get("usage"):
            found.append({"role": "assistant", "extra": {"response": response}, LOST: True})
        found.append({**message, "role": _role(message)})
    return found


LOST = "lost"
"""The key of a message that we put in place of a reply which no message kept."""


def _role(message: Message) -> Any:
    if message.get("object") == "response":
        return "assistant"
    return "tool" if message.get("type") == "function_call_output" else message.get("role")


def _is_interrupt(message: Message) -> bool:
    extra = message.get("extra")
    return isinstance(extra, Mapping) and bool(extra.get("interrupt_type"))


def _has_tool_role(messages: Sequence[Message]) -> bool:
    return any(message.get("role") == "tool" for message in messages)


def _stamped(message: Message, number: int) -> _Stamped:
    try:
        return record_of(_Stamped, message)
    except ReadError as error:
        raise ReadError(f"messages[{number}].{error}") from error


class _Reader:
    """How the turns of one trajectory are read.

    stamps: of each message, by its identity. version_1: a reply that asked for none or several
    actions ran nothing. has_tools: tools answer in messages of their own, and not of the user.
    """

    def __init__(self, stamps: Mapping[int, _Stamped], version_1: bool, has_tools: bool) -> None:
        self.stamps, self.version_1, self.has_tools = stamps, version_1, has_tools

    def is_timed(self, turn: Turn) -> bool:
        asked_at = self._at(turn.reply)
        return asked_at is not None and any(
            self._at(answer) is not None for answer in self._answers(turn)
        )

    def call(self, turn: Turn, number: int, clock: ToolClock) -> RecordedCall:
        usage = self._usage(turn.reply)
        after_lost = any(_is_interrupt(message) for message in turn.appended)
        return turn.call(
            self._tools(turn, number, clock), usage.prompt, usage.output, drops=after_lost
        )

    def _answers(self, turn: Turn) -> list[Message]:
        """What the reply's tools answered."""
        role = "tool" if self.has_tools else "user"
        if self.version_1 and not self.has_tools and not self._acts(turn.reply):
            return []
        return [m for m in turn.following if m.get("role") == role and not _is_interrupt(m)]

    def _acts(self, reply: Message) -> bool:
        content = reply.get("content")
        return not isinstance(content, str) or len(_ACTION.findall(content)) == 1

    def _tools(self, turn: Turn, number: int, clock: ToolClock) -> tuple[ToolCall, ...]:
        """A call for every answer of a tool, from the reply to the answer, and the user's."""
        of, asked_at = f"call {number}", self._at(turn.reply)
        calls = [
            ToolCall(TOOL, "wait", floor_s=clock.waited(asked_at, self._at(answer), of))
            for answer in self._answers(turn)
        ]
        said = [self._at(message) for message in turn.following if self._is_users(message)]
        if asked_at is not None and said and said[-1] is not None:
            calls.append(ToolCall(USER, "wait", floor_s=clock.waited(asked_at, said[-1], of)))
        return tuple(calls)

    def _is_users(self, message: Message) -> bool:
        return self.has_tools and message.get("role") == "user"

    def _at(self, message: Message) -> float | None:
        return self.stamps[id(message)].at

    def _usage(self, reply: Message) -> _Usage:
        stamp = self.stamps[id(reply)]
        response = stamp.extra.response if stamp.extra is not None else None
        if isinstance(response, Mapping):
            return record_of(_Response, response).usage or _NOT_COUNTED
        return stamp.usage or _NOT_COUNTED


FORMAT = Format(
    name="miniswe",
    title="a trajectory of mini-swe-agent",
    tried=(
        "mini-swe-agent 1.0 (2025-07)",
        "1.17 (2025-11)",
        "2.2.8 (2026-04), of the Responses API too",
        "2.4.6 (2026-11-26)",
    ),
    recognise=_recognised,
    read=read_miniswe,
)
