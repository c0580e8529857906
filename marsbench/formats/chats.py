"""Reads conversations of texts alone: ShareGPT's, and the runs of tau-bench.

Neither has a clock or counts tokens: lengths are a tokenizer's, and a pause is a stated one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from marsbench.core.session import ToolCall
from marsbench.core.workload.generate import USER
from marsbench.formats.calls import session_of_calls
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.messages import (
    Message,
    Turn,
    messages_of,
    objects_of,
    system_text,
    turns_of,
)
from marsbench.formats.opening import records_of
from marsbench.formats.reading import (
    Contents,
    ReadError,
    Reading,
    Record,
    Stated,
    record_of,
    sources_of,
)

_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant",
    "assistant": "assistant", "bing": "assistant", "bard": "assistant", "system": "system",
    "tool": "tool", "observation": "tool", "function_response": "tool",
    "function_call": "assistant",
}  # fmt: skip


class _Said(Record):
    who: str | None = None
    value: str | None = None


class _Run(Record):
    task_id: int | str
    trial: int | str | None = None
    traj: Any


def read_sharegpt(path: Path, fallback: Fallback) -> Contents:
    """A session a conversation."""
    return Contents(sources_of(records_of(path), partial(_sharegpt, fallback=fallback), str(path)))


def read_taubench(path: Path, fallback: Fallback) -> Contents:
    """A session a run."""
    return Contents(sources_of(records_of(path), partial(_taubench, fallback=fallback), str(path)))


def _sharegpt(record: Any, place: str, fallback: Fallback) -> Reading:
    row = record if isinstance(record, Mapping) else {}
    said = [_message(one) for one in objects_of(row.get("conversations"))]
    name = row.get("id")
    return _session(place if name in (None, "") else str(name), said, fallback)


def _message(said: Mapping[str, Any]) -> Message:
    one = record_of(_Said, {"who": said.get("from"), "value": said.get("value")})
    role = _ROLES.get((one.who or "").lower())
    if role is None:
        raise ReadError(f"conversations: {(one.who or '')[:40]!r} is nobody that is known")
    return {"role": role, "content": one.value}


def _taubench(record: Any, _place: str, fallback: Fallback) -> Reading:
    run = record_of(_Run, record)
    trial = "" if run.trial is None else f".{run.trial}"
    return _session(f"{run.task_id}{trial}", messages_of(run.traj), fallback)


def _session(name: str, messages: Sequence[Message], fallback: Fallback) -> Reading:
    turns = turns_of(messages)
    calls = [turn.call(_pause(turn, number, fallback)) for number, turn in enumerate(turns)]
    session = session_of_calls(name, calls, fallback, system_text(messages))
    return Reading(session, stated=Stated(num_calls=len(turns)))


def _pause(turn: Turn, number: int, fallback: Fallback) -> tuple[ToolCall, ...]:
    """Until the next reply: the tools that answered, by their names, and else the user."""
    if not turn.following:
        return ()
    seconds = fallback.tool_time(f"call {number}")
    answers = [one for one in turn.following if one.get("role") == "tool"]
    names = [str(one.get("name") or "tool") for one in answers] or [USER]
    return tuple(ToolCall(name, "wait", floor_s=seconds) for name in names)


def _is_sharegpt(head: Head) -> str | None:
    if head.has_under("conversations", "from", "value"):
        return "its conversations are of from and value"
    return None


def _is_taubench(head: Head) -> str | None:
    return "its runs have a task_id and a traj" if head.has("task_id", "traj") else None


SHAREGPT = Format(
    name="sharegpt",
    title="conversations as ShareGPT's",
    tried=("V3 unfiltered cleaned split (2023-04)",),
    recognise=_is_sharegpt,
    read=read_sharegpt,
)
TAUBENCH = Format(
    name="tau-bench",
    title="runs of tau-bench",
    tried=("1 (2024-06)",),
    recognise=_is_taubench,
    read=read_taubench,
)
