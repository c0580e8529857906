"""Rows of tables of trajectories: messages, as SWE-smith, Nebius, R2E-Gym and others publish them,
and R2E-Gym's own steps.

Messages have neither times nor token counts: both are stated by options. Steps have both.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from marsbench.core.session import ToolCall
from marsbench.formats.calls import RecordedCall, session_of_calls
from marsbench.formats.dataset_rows import without_nulls
from marsbench.formats.fallback import Fallback
from marsbench.formats.messages import (
    Message,
    messages_of,
    objects_of,
    system_text,
    turns_of,
)
from marsbench.formats.reading import (
    Duration,
    ReadError,
    Reading,
    Record,
    Stated,
    record_of,
)

TableRow = Mapping[str, Any]

TOOL = "tool"
"""The name of a call of which a trajectory of messages tells no name."""


def session_of_messages(row: TableRow, name: str, fallback: Fallback) -> Reading:
    """One trajectory of messages. Raises ReadError."""
    messages = [_known(one) for one in messages_of(without_nulls(row.get(_column(row))))]
    turns = turns_of(messages)
    tools = _definitions(row)
    calls = [
        turn.call(_unnamed(turn.following and turn.reply, number, fallback))
        for number, turn in enumerate(turns)
    ]
    if tools:  # they are sent in front of the first message
        calls[0] = calls[0].after(tools)
    prefix = "\n".join(text for text in (tools, system_text(messages)) if text)
    session = session_of_calls(_id(row, name), calls, fallback, prefix)
    return Reading(session, stated=Stated(num_calls=_num_calls(row) or len(turns)))


def _column(row: TableRow) -> str:
    """Where the messages are: Nebius calls them trajectory."""
    return "messages" if row.get("messages") is not None else "trajectory"


def _known(message: Message) -> Message:
    """As the chat API has it; Nebius's SWE-agent trajectories have roles and texts of their own."""
    if message.get("role") == "ai" or {"text", "system_prompt"} & message.keys():
        role = "assistant" if message.get("role") == "ai" else message.get("role")
        text = message.get("text") or message.get("system_prompt")
        return {**message, "role": role, "content": message.get("content") or text}
    return message


def _definitions(row: TableRow) -> str:
    """Definitions of tools, which are in every prompt beside its messages."""
    tools = without_nulls(row.get("tools"))
    if not tools:
        return ""
    return tools if isinstance(tools, str) else json.dumps(tools, ensure_ascii=False)


def _num_calls(row: TableRow) -> int | None:
    """Calls that the row itself counts, as SWE-agent's and mini-swe-agent's do."""
    info = row.get("info")
    stats = info.get("model_stats") if isinstance(info, Mapping) else None
    found = stats.get("api_calls") if isinstance(stats, Mapping) else None
    is_count = isinstance(found, int) and not isinstance(found, bool) and 0 < found <= 10**9
    return found if is_count else None


def _id(row: TableRow, name: str) -> str:
    ids = (row.get(key) for key in ("traj_id", "trajectory_id", "instance_id", "id"))
    return next((str(one) for one in ids if one), name)


def _unnamed(reply: Any, number: int, fallback: Fallback) -> tuple[ToolCall, ...]:
    """What ran after a reply that something followed: as many calls as it asked for."""
    if not reply:
        return ()
    asked = objects_of(reply.get("tool_calls")) or [{}]
    names = [_named(call.get("function")) for call in asked]
    seconds = fallback.tool_time(f"call {number}")
    return tuple(ToolCall(name, "wait", floor_s=seconds) for name in names)


def _named(function: Any) -> str:
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) and name else TOOL


class _Step(Record):
    """R2E-Gym writes -1 tokens where a server stated none."""

    action: str = ""
    token_usage_prompt: int | None = Field(None, ge=-1, le=10**9)
    token_usage_completion: int | None = Field(None, ge=-1, le=10**9)
    llm_exec_time: Duration | None = None
    env_exec_time: Duration | None = None
    total_time_traj: Duration | None = None


class _Steps(Record):
    trajectory_steps: list[_Step]
    docker_image: str | None = None
    exp_name: str | None = None


def r2e_session(row: TableRow, name: str, fallback: Fallback) -> Reading:
    """One trajectory of R2E-Gym's steps: a call of the model and of one tool each.

    The system prompt is in no step, so lengths are those that the server stated.
    """
    steps = record_of(_Steps, {**row, "trajectory_steps": _list(row.get("trajectory_steps"))})
    found = steps.trajectory_steps
    calls = [_step_call(step, number, fallback) for number, step in enumerate(found)]
    took = [step.llm_exec_time for step in found]
    stated = Stated(
        span_s=found[-1].total_time_traj if found else None,
        num_calls=len(found),
        calls_s=None if None in took else math.fsum(one or 0.0 for one in took),
    )
    own = "/".join(one for one in (steps.exp_name, steps.docker_image) if one) or name
    return Reading(session_of_calls(own, calls, fallback), stated=stated)


def _list(value: Any) -> Any:
    """Nested columns are often kept as JSON text."""
    return messages_of(value) if isinstance(value, str) else without_nulls(value)


def _step_call(step: _Step, number: int, fallback: Fallback) -> RecordedCall:
    prompt, output = step.token_usage_prompt, step.token_usage_completion
    if prompt is None or output is None or min(prompt, output) < 0:
        raise ReadError(f"trajectory_steps: step {number} has no token usage")
    seconds = step.env_exec_time
    if seconds is None:
        seconds = fallback.tool_time(f"step {number}")
    asked = _FUNCTION.search(step.action)
    tool = ToolCall(asked.group(1) if asked else TOOL, "wait", floor_s=seconds)
    return RecordedCall(prompt=prompt, output=output, tools=(tool,))


_FUNCTION = re.compile(r"<function=([\w.-]{1,80})>")
