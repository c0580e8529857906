"""Reads trajectories of SWE-agent (.traj), one session a file.

They have no token usage a call and no time stamps, only each action's `execution_time`, which
files from before version 0.7 lack too. Since 1.1 a step has the messages that it sent (`query`);
in 1.0 it has those that the next one sends (`messages`). A last step that SWE-agent wrote when it
gave up, without asking the model, is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from marsbench.core.session import ToolCall
from marsbench.formats.calls import RecordedCall, session_of_calls
from marsbench.formats.clock import ToolClock
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.gathering import ImportResult, TrackSources, gather
from marsbench.formats.messages import Message, messages_of, system_text, text_of_message, turns_of
from marsbench.formats.opening import document_sources
from marsbench.formats.reading import (
    Contents,
    Duration,
    ReadError,
    Reading,
    Record,
    Stated,
    record_of,
)

REBUILT = "prompts are rebuilt from the history: what a history processor left out of them is in"
GAVE_UP = "a last step is left out, for SWE-agent wrote it without asking the model"


class _Step(Record):
    """query: the messages that were sent. messages: those after the step, which the next sends."""

    action: str | None = None
    response: str | None = None
    execution_time: Duration | None = None
    query: list[dict[str, Any]] | None = None
    messages: list[dict[str, Any]] | None = None

    @property
    def is_exit(self) -> bool:
        """Whether it only says why SWE-agent gave up."""
        said = self.response or ""
        return (self.action or "").startswith("exit_") or said.startswith("Exit due to")


class _Stats(Record):
    api_calls: int | None = Field(None, ge=0, le=10**9)


class _Info(Record):
    model_stats: _Stats | None = None


class _Trajectory(Record):
    trajectory: list[_Step]
    history: list[dict[str, Any]] | None = None
    info: _Info | None = None


def import_sweagent(
    paths: Sequence[Path], fallback: Fallback, track: TrackSources | None = None
) -> ImportResult:
    """The sessions of these trajectories."""
    return gather((FORMAT.contents(path, fallback) for path in paths), track)


def read_sweagent(path: Path, fallback: Fallback) -> Contents:
    """One session."""
    return document_sources(path, partial(sweagent_session, fallback=fallback), ".traj")


def _recognised(head: Head) -> str | None:
    if head.has("trajectory", "history"):
        return "it has a trajectory and its history"
    if head.has_under("trajectory", "action", "observation"):  # the history is behind it
        return "it has a trajectory of actions and observations"
    return None


FORMAT = Format(
    name="sweagent",
    title="a trajectory of SWE-agent",
    tried=("SWE-agent 0.7 (2024-09)", "1.0.1 (2025-05, read 2026-11-26)", "1.1.0 (2025-05)"),
    recognise=_recognised,
    read=read_sweagent,
)


def sweagent_session(record: Any, name: str, fallback: Fallback) -> Reading:
    """The session of a trajectory; prompts as they were sent, or rebuilt from the history."""
    found = record_of(_Trajectory, record)
    steps, gave_up = _asked(found.trajectory)
    if not steps:
        raise ReadError("holds no call of a model")
    clock = ToolClock(fallback, any(step.execution_time is not None for step in steps))
    sent = _sent(steps)
    if sent is not None:
        calls = _sent_calls(steps, sent, clock)
        prefix, notes = system_text(sent[0]), gave_up
    else:
        history = messages_of(found.history or [])
        calls = _history_calls(steps, history[: len(history) - _num_exits(history, gave_up)], clock)
        prefix, notes = system_text(history), (REBUILT, *gave_up)
    stats = found.info and found.info.model_stats
    stated = Stated(num_calls=(stats.api_calls or None) if stats else None)
    session = session_of_calls(name, calls, fallback, prefix)
    return Reading(session, notes, stated=stated, repairs=tuple(clock.repairs))


def _asked(steps: Sequence[_Step]) -> tuple[list[_Step], tuple[str, ...]]:
    """The steps of which each asked the model, and a note where a last one did not."""
    if steps and steps[-1].is_exit:
        return list(steps[:-1]), (GAVE_UP,)
    return list(steps), ()


def _num_exits(history: Sequence[Message], gave_up: Sequence[str]) -> int:
    """Messages at the end of a history that are the step which SWE-agent gave up with."""
    texts = [text_of_message(message) for message in history[-2:]]
    places = [place for place, text in enumerate(texts) if text.startswith("Exit due to")]
    return len(texts) - places[0] if gave_up and places else 0


def _sent(steps: Sequence[_Step]) -> list[list[Message]] | None:
    """What each step sent; None where that was not recorded."""
    if all(_real(step.query) for step in steps):
        return [list(step.query or ()) for step in steps]
    if not all(_real(step.messages) for step in steps):
        return None
    first: list[Message] = list(steps[0].messages or ())
    replies = [n for n, message in enumerate(first) if _is_reply(message)]
    if replies and text_of_message(first[replies[-1]]).startswith(steps[0].response or ""):
        first = first[: replies[-1]]
    sent: list[list[Message]] = [first]
    sent += [list(step.messages or ()) for step in steps[:-1]]
    return sent


def _real(messages: Sequence[Message] | None) -> bool:
    """SWE-agent writes `[{}]` where it sent none."""
    return any(messages or ())


def _is_reply(message: Message) -> bool:
    return message.get("role") == "assistant" and not message.get("is_demo")


def _sent_calls(
    steps: Sequence[_Step], sent: Sequence[Sequence[Message]], clock: ToolClock
) -> list[RecordedCall]:
    calls = []
    before: Sequence[Message] = ()
    for step, query, tools in zip(steps, sent, _all_tools(steps, clock), strict=True):
        same = _same(before, query)
        went_on = same == len(before)
        # Behind the old prompt comes the reply to it, which was counted as its output.
        appended = query[same + bool(before) :] if went_on else query[same:]
        calls.append(
            RecordedCall(
                appended=[text_of_message(message) for message in appended],
                generated=step.response or "",
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
    steps: Sequence[_Step], history: Sequence[Message], clock: ToolClock
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
    tools = _all_tools(steps, clock)
    return [turn.call(after) for turn, after in zip(turns, tools, strict=True)]


def _all_tools(steps: Sequence[_Step], clock: ToolClock) -> list[tuple[ToolCall, ...]]:
    """What runs after each step; nothing waits for the last one's action."""
    return [*(_tools(step, number, clock) for number, step in enumerate(steps[:-1])), ()]


def _tools(step: _Step, number: int, clock: ToolClock) -> tuple[ToolCall, ...]:
    """The step's action, named by its first word; a reply that could not be parsed has none."""
    words = (step.action or "").split()
    if not words:
        return ()
    seconds = step.execution_time
    if seconds is None:
        seconds = clock.unknown(f"step {number}")
    return (ToolCall(words[0][:40], "wait", floor_s=seconds),)
