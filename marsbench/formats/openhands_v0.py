"""One history of OpenHands V0: a line of an evaluation's output.jsonl."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from marsbench.formats.fallback import Fallback
from marsbench.formats.openhands_events import AgentEvent, Metrics, session_of_events
from marsbench.formats.reading import ReadError, Reading, Record, record_of

_NO_MODEL = ("system", "recall", "change_agent_state", "null", "condensation")
"""Actions of the agent that no model asked for."""

_READ = ("content", "thought", "command", "code", "path", "final_thought")


class _Response(Record):
    id: str | None = None


class _ToolCallMetadata(Record):
    function_name: str | None = None
    model_response: _Response | None = None


class _Entry(Record):
    """An action, or an observation that an earlier action caused."""

    id: int | str | None = None
    timestamp: datetime | None = None
    source: str = ""
    action: str | None = None
    observation: str | None = None
    args: dict[str, Any] | None = None
    content: str | None = None
    cause: int | str | None = None
    tool_call_metadata: _ToolCallMetadata | None = None

    @property
    def response(self) -> str | None:
        """The model's response that asked for this action."""
        metadata = self.tool_call_metadata
        if self.action is None or metadata is None or metadata.model_response is None:
            return None
        return metadata.model_response.id

    def says(self, anything: bool) -> bool:
        """Whether a model wrote this entry, which names no response: a message, or any action."""
        if self.source != "agent" or self.action in (None, *_NO_MODEL):
            return False
        return anything or self.action == "message"

    @property
    def tool(self) -> str | None:
        """What the action calls; None where it says something."""
        if self.action == "message":
            return None
        metadata = self.tool_call_metadata
        return (metadata.function_name if metadata else None) or self.action or "tool"

    @property
    def text(self) -> str:
        if self.observation is not None:
            return self.content or ""
        args = self.args or {}
        tools = args.get("tools")
        parts = [json.dumps(tools) if tools else ""]
        parts += [v for k, v in args.items() if isinstance(v, str) and k in _READ]
        return "\n".join(part for part in parts if part)


class _Row(Record):
    instance_id: str | int
    history: list[_Entry]
    metrics: Metrics | None = None
    error: str | None = None


def v0_session(record: Any, fallback: Fallback) -> Reading:
    """The session of one row. Raises ReadError."""
    row = record_of(_Row, record)
    metrics = row.metrics or Metrics()
    events = _events(row.history, [usage.response_id for usage in metrics.token_usages])
    if not any(event.response for event in events):
        raise ReadError(f"holds no call of a model{said_error(row.error)}")
    prefix = next((entry.text for entry in row.history if entry.action == "system"), "")
    return session_of_events(str(row.instance_id), events, metrics, prefix, fallback)


def said_error(error: str | None) -> str:
    """What a row says of why it failed, behind what we say."""
    lines = (error or "").split("\n")
    return f" (its error: {lines[0][:100]})" if lines[0] else ""


def _events(history: Sequence[_Entry], order: Sequence[str]) -> list[AgentEvent]:
    responses = _responses(history, order)
    return [
        AgentEvent(
            of=f"action {entry.id}",
            at=entry.timestamp,
            source=entry.source,
            text=entry.text,
            response=response,
            tool=entry.tool,
            answered_at=None if response is None else _answered_at(place, history, responses),
        )
        for place, (entry, response) in enumerate(zip(history, responses, strict=True))
    ]


def _responses(history: Sequence[_Entry], order: Sequence[str]) -> list[str | None]:
    """Each entry's response.

    A message of the agent names none: it takes the recorded one that no action names and that
    comes next. So do all actions of a history that names none at all, as agents that call no
    functions leave it.
    """
    named = {entry.response for entry in history} - {None}
    free = deque(response for response in order if response not in named)
    responses = [entry.response for entry in history]
    for place, entry in enumerate(history):
        if entry.response is None and entry.says(anything=not named):
            responses[place] = free.popleft() if free else f"{entry.action} {place}"
    return responses


def _answered_at(
    action: int, history: Sequence[_Entry], responses: Sequence[str | None]
) -> datetime | None:
    """When what the action caused was observed, if that was before the model's next response."""
    for place in range(action, len(history)):
        if responses[place] not in (None, responses[action]):
            return None
        if history[place].observation and history[place].cause == history[action].id:
            return history[place].timestamp
    return None
