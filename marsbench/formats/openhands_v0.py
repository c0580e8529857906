"""One history of OpenHands V0: a line of an evaluation's output.jsonl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from marsbench.formats.fallback import Fallback
from marsbench.formats.openhands_events import AgentEvent, ResponseUsage, session_of_events
from marsbench.formats.reading import Reading, Record, record_of

_READ = ("content", "thought", "command", "code", "path", "final_thought")


class _Response(Record):
    id: str | None = None


class _ToolCallMetadata(Record):
    function_name: str | None = None
    model_response: _Response | None = None


class _Entry(Record):
    """An action, or an observation that an earlier action caused."""

    id: int | None = None
    timestamp: datetime
    source: str = ""
    action: str | None = None
    observation: str | None = None
    args: dict[str, Any] = Field(default_factory=dict)
    content: str | None = None
    cause: int | None = None
    tool_call_metadata: _ToolCallMetadata | None = None

    @property
    def response(self) -> str | None:
        """The model's response that asked for this action."""
        metadata = self.tool_call_metadata
        if self.action is None or metadata is None or metadata.model_response is None:
            return None
        return metadata.model_response.id

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
        tools = self.args.get("tools")
        parts = [json.dumps(tools) if tools else ""]
        parts += [v for k, v in self.args.items() if isinstance(v, str) and k in _READ]
        return "\n".join(part for part in parts if part)


class _Latency(Record):
    response_id: str


class _Metrics(Record):
    token_usages: list[ResponseUsage] = Field(default_factory=list)
    response_latencies: list[_Latency] = Field(default_factory=list)


class _Row(Record):
    instance_id: str
    history: list[_Entry]
    metrics: _Metrics | None = None


def v0_session(record: Any, fallback: Fallback) -> Reading:
    """The session of one row. Raises ReadError."""
    row = record_of(_Row, record)
    metrics = row.metrics or _Metrics()
    events = _events(row.history, [usage.response_id for usage in metrics.token_usages])
    prefix = next((entry.text for entry in row.history if entry.action == "system"), "")
    timed = [latency.response_id for latency in metrics.response_latencies]
    return session_of_events(row.instance_id, events, metrics.token_usages, prefix, fallback, timed)


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
    comes next.
    """
    named = {entry.response for entry in history}
    free = [response for response in order if response not in named]
    responses = [entry.response for entry in history]
    for place, entry in enumerate(history):
        if entry.response is None and entry.source == "agent" and entry.action == "message":
            responses[place] = free.pop(0) if free else f"message {place}"
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
