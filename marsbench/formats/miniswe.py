"""Reads trajectories of mini-swe-agent (.traj.json), one session a file.

A tool's time is from the reply's time stamp to the tool's. Early versions wrote neither time
stamps nor token usage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from marsbench.core.session import ToolCall
from marsbench.formats.calls import Call, session_of_calls
from marsbench.formats.messages import (
    Message,
    Turn,
    messages_of,
    system_text,
    text_of_message,
    turns_of,
)
from marsbench.formats.reading import (
    ImportResult,
    ReadError,
    Reading,
    Source,
    TrackSources,
    gather,
    json_of,
    text_of,
)
from marsbench.formats.stated import Stated

SUFFIX = ".traj.json"
TOOL = "bash"
"""mini-swe-agent has this one tool."""


def import_miniswe(
    paths: Sequence[Path], stated: Stated, track: TrackSources | None = None
) -> ImportResult:
    """The sessions of these trajectories."""
    return gather([Source(str(path), partial(_read, path, stated)) for path in paths], track)


def _read(path: Path, stated: Stated) -> Reading:
    record = json_of(text_of(path))
    return miniswe_session(record, path.name.removesuffix(".gz").removesuffix(SUFFIX), stated)


def miniswe_session(record: Any, name: str, stated: Stated) -> Reading:
    """The session of a trajectory: an object with `messages`, or their list alone."""
    whole: Mapping[str, Any] = record if isinstance(record, Mapping) else {"messages": record}
    messages = messages_of(whole.get("messages"))
    calls = [_call(turn, number, stated) for number, turn in enumerate(turns_of(messages))]
    name = str(whole.get("instance_id") or name)
    return Reading(session_of_calls(name, calls, stated, system_text(messages)))


def _call(turn: Turn, number: int, stated: Stated) -> Call:
    usage = _usage(turn.reply)
    return Call(
        prompt=usage.get("prompt_tokens"),
        output=usage.get("completion_tokens"),
        appended=[text_of_message(message) for message in turn.appended],
        generated=text_of_message(turn.reply),
        tools=_tools(turn, number, stated),
    )


def _usage(reply: Message) -> Mapping[str, Any]:
    response = _extra(reply).get("response")
    usage = response.get("usage") if isinstance(response, Mapping) else None
    return usage if isinstance(usage, Mapping) else {}


def _tools(turn: Turn, number: int, stated: Stated) -> tuple[ToolCall, ...]:
    """A call for every answer of a tool, from the reply to the answer."""
    asked_at = _time(turn.reply)
    return tuple(
        ToolCall(TOOL, "wait", floor_s=_seconds(asked_at, _time(answer), number, stated))
        for answer in turn.following
        if answer.get("role") in ("tool", "user")
    )


def _seconds(asked_at: float | None, answered_at: float | None, number: int, s: Stated) -> float:
    if asked_at is None or answered_at is None:
        return s.tool_time(f"call {number}")
    if answered_at < asked_at:
        raise ReadError(f"call {number}: a tool answered before it was asked")
    return answered_at - asked_at


def _time(message: Message) -> float | None:
    found = _extra(message).get("timestamp")
    return float(found) if isinstance(found, int | float) else None


def _extra(message: Message) -> Mapping[str, Any]:
    extra = message.get("extra")
    return extra if isinstance(extra, Mapping) else {}
