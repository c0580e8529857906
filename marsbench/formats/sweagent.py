"""Reads trajectories of SWE-agent (.traj), one session a file.

They have no token usage a call and no time stamps, only each action's `execution_time`, which
files from before version 0.7 lack too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from marsbench.core.session import ToolCall
from marsbench.formats.calls import RecordedCall, session_of_calls
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.gathering import ImportResult, TrackSources, gather
from marsbench.formats.messages import Message, messages_of, system_text, text_of_message, turns_of
from marsbench.formats.opening import document_sources
from marsbench.formats.reading import Contents, ReadError, Reading, Record, record_of

REBUILT = "prompts are rebuilt from the history: what a history processor left out of them is in"


class _Step(Record):
    """query: the messages that were sent, in files of version 1.1 and later."""

    action: str = ""
    response: str = ""
    execution_time: float | None = Field(None, ge=0, allow_inf_nan=False)
    query: list[dict[str, Any]] | None = None


class _Trajectory(Record):
    trajectory: list[_Step]
    history: list[dict[str, Any]] = Field(default_factory=list)


def import_sweagent(
    paths: Sequence[Path], fallback: Fallback, track: TrackSources | None = None
) -> ImportResult:
    """The sessions of these trajectories."""
    return gather((FORMAT.contents(path, fallback) for path in paths), track)


def read_sweagent(path: Path, fallback: Fallback) -> Contents:
    """One session."""
    return document_sources(path, partial(sweagent_session, fallback=fallback), ".traj")


def _recognised(head: Head) -> str | None:
    return "it has a trajectory and its history" if head.has("trajectory", "history") else None


FORMAT = Format(
    name="sweagent",
    title="a trajectory of SWE-agent",
    tried=("SWE-agent 0.6 (2024-08)", "1.0 (2025-02)", "1.1 (2025-05)"),
    recognise=_recognised,
    read=read_sweagent,
)


def sweagent_session(record: Any, name: str, fallback: Fallback) -> Reading:
    """The session of a trajectory; prompts as they were sent, or rebuilt from the history."""
    found = record_of(_Trajectory, record)
    steps = found.trajectory
    if steps and all(step.query for step in steps):
        sent = [list(step.query or ()) for step in steps]
        calls = _sent_calls(steps, sent, fallback)
        return Reading(session_of_calls(name, calls, fallback, system_text(sent[0])))
    history = messages_of(found.history)
    calls = _history_calls(steps, history, fallback)
    return Reading(session_of_calls(name, calls, fallback, system_text(history)), (REBUILT,))


def _sent_calls(
    steps: Sequence[_Step], sent: Sequence[Sequence[Message]], fallback: Fallback
) -> list[RecordedCall]:
    calls = []
    before: Sequence[Message] = ()
    for step, query, tools in zip(steps, sent, _all_tools(steps, fallback), strict=True):
        same = _same(before, query)
        went_on = same == len(before)
        # Behind the old prompt comes the reply to it, which was counted as its output.
        appended = query[same + bool(before) :] if went_on else query[same:]
        calls.append(
            RecordedCall(
                appended=[text_of_message(message) for message in appended],
                generated=step.response,
                tools=tools,
                kept=None if went_on else [text_of_message(m) for m in query[:same]],
            )
        )
        before = query
    return calls


def _same(before: Sequence[Message], after: Sequence[Message]) -> int:
    """How many leading messages read the same."""
    pairs = zip(before, after, strict=False)
    alike = [text_of_message(one) == text_of_message(other) for one, other in pairs]
    return (*alike, False).index(False)


def _history_calls(
    steps: Sequence[_Step], history: Sequence[Message], fallback: Fallback
) -> list[RecordedCall]:
    # A demonstration is part of the prompt, and its replies are nobody's.
    said = [{**m, "role": "user"} if m.get("is_demo") else m for m in history]
    turns = turns_of(said)
    if len(turns) == len(steps) - 1:  # the reply that submits is not always kept
        turns = turns_of([*said, {"role": "assistant", "content": steps[-1].response}])
    if len(turns) != len(steps):
        raise ReadError(
            f"trajectory has {len(steps)} steps and history {len(turns)} replies, "
            "which cannot be told apart"
        )
    tools = _all_tools(steps, fallback)
    return [turn.call(after) for turn, after in zip(turns, tools, strict=True)]


def _all_tools(steps: Sequence[_Step], fallback: Fallback) -> list[tuple[ToolCall, ...]]:
    """What runs after each step; nothing waits for the last one's action."""
    return [*(_tools(step, number, fallback) for number, step in enumerate(steps[:-1])), ()]


def _tools(step: _Step, number: int, fallback: Fallback) -> tuple[ToolCall, ...]:
    """The step's action, named by its first word; a reply that could not be parsed has none."""
    words = step.action.split()
    if not words:
        return ()
    seconds = step.execution_time
    if seconds is None:
        seconds = fallback.tool_time(f"step {number}")
    return (ToolCall(words[0][:40], "wait", floor_s=seconds),)
