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
from marsbench.formats.calls import session_of_calls
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.gathering import ImportResult, TrackSources, gather
from marsbench.formats.messages import Message, Turn, messages_of, system_text, turns_of
from marsbench.formats.opening import document_sources
from marsbench.formats.reading import Contents, ReadError, Reading

SUFFIX = ".traj.json"
TOOL = "bash"
"""mini-swe-agent has this one tool."""


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
    return None


FORMAT = Format(
    name="miniswe",
    title="a trajectory of mini-swe-agent",
    tried=("mini-swe-agent 1.0 (2025-07)", "2.2.8 (2026-04)"),
    recognise=_recognised,
    read=read_miniswe,
)


def miniswe_session(record: Any, name: str, fallback: Fallback) -> Reading:
    """The session of a trajectory: an object with `messages`, or their list alone."""
    whole: Mapping[str, Any] = record if isinstance(record, Mapping) else {"messages": record}
    messages = messages_of(whole.get("messages"))
    calls = []
    for number, turn in enumerate(turns_of(messages)):
        usage = _object(_object(_extra(turn.reply).get("response")).get("usage"))
        prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
        calls.append(turn.call(_tools(turn, number, fallback), prompt, output))
    name = str(whole.get("instance_id") or name)
    return Reading(session_of_calls(name, calls, fallback, system_text(messages)))


def _tools(turn: Turn, number: int, fallback: Fallback) -> tuple[ToolCall, ...]:
    """A call for every answer of a tool, from the reply to the answer."""
    asked_at = _time(turn.reply)
    return tuple(
        ToolCall(TOOL, "wait", floor_s=_seconds(asked_at, _time(answer), number, fallback))
        for answer in turn.following
        if answer.get("role") in ("tool", "user")
    )


def _seconds(
    asked_at: float | None, answered_at: float | None, number: int, fallback: Fallback
) -> float:
    if asked_at is None or answered_at is None:
        return fallback.tool_time(f"call {number}")
    if answered_at < asked_at:
        raise ReadError(f"call {number}: a tool answered before it was asked")
    return answered_at - asked_at


def _time(message: Message) -> float | None:
    time = _extra(message).get("timestamp")
    return float(time) if isinstance(time, int | float) else None


def _extra(message: Message) -> Mapping[str, Any]:
    return _object(message.get("extra"))


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
