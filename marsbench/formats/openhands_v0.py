"""One history of OpenHands V0: a line of an evaluation's output.jsonl.

Token usage is joined by the id of the model's response. A tool's time runs from the response to
the observation that the action caused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from marsbench.core.session import ToolCall
from marsbench.formats.calls import (
    Call,
    session_of_calls,
    timed_call,
    unseen,
    user_pause,
)
from marsbench.formats.reading import Reading, Record, record_of
from marsbench.formats.stated import Stated


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
        found = self.tool_call_metadata
        if self.action is None or found is None or found.model_response is None:
            return None
        return found.model_response.id

    @property
    def text(self) -> str:
        """What a model reads of it, where no usage tells its length."""
        if self.observation is not None:
            return self.content or ""
        tools = self.args.get("tools")
        told = [json.dumps(tools) if tools else ""]
        told += [v for k, v in self.args.items() if isinstance(v, str) and k in _READ]
        return "\n".join(part for part in told if part)


_READ = ("content", "thought", "command", "code", "path", "final_thought")


class _Usage(Record):
    response_id: str
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class _Latency(Record):
    response_id: str


class _Metrics(Record):
    token_usages: list[_Usage] = Field(default_factory=list)
    response_latencies: list[_Latency] = Field(default_factory=list)


class _Row(Record):
    instance_id: str
    history: list[_Entry]
    metrics: _Metrics | None = None


def v0_session(record: Any, stated: Stated) -> Reading:
    """The session of one row. Raises ReadError."""
    row = record_of(_Row, record)
    metrics = row.metrics or _Metrics()
    usages = {usage.response_id: usage for usage in metrics.token_usages}
    groups = _groups(row.history, [u.response_id for u in metrics.token_usages])
    calls = _calls(row.history, groups, usages, stated)
    prefix = next((e.text for e in row.history if e.action == "system"), "")
    timed = {latency.response_id for latency in metrics.response_latencies}
    notes = unseen(timed | usages.keys(), groups.keys())
    return Reading(session_of_calls(row.instance_id, calls, stated, prefix), notes)


def _groups(history: Sequence[_Entry], order: Sequence[str]) -> dict[str, list[int]]:
    """For each response, in order, the places of its actions.

    A message of the agent names no response: it takes the recorded one that no action names and
    that comes next.
    """
    named = {entry.response for entry in history}
    free = [response for response in order if response not in named]
    groups: dict[str, list[int]] = {}
    for place, entry in enumerate(history):
        response = entry.response
        if response is None and entry.source == "agent" and entry.action == "message":
            response = free.pop(0) if free else f"message {place}"
        if response is not None:
            groups.setdefault(response, []).append(place)
    return groups


def _calls(
    history: Sequence[_Entry],
    groups: Mapping[str, Sequence[int]],
    usages: Mapping[str, _Usage],
    stated: Stated,
) -> list[Call]:
    written = {place for places in groups.values() for place in places}
    starts = [places[0] for places in groups.values()]
    ends = [*starts[1:], None]
    begins = [0, *starts[:-1]]
    calls = []
    for (response, places), begin, end in zip(groups.items(), begins, ends, strict=True):
        usage = usages.get(response)
        own = [history[place] for place in places]
        before = range(begin, places[0])
        calls.append(
            Call(
                prompt=usage.prompt_tokens if usage else None,
                output=usage.completion_tokens if usage else None,
                appended=[history[p].text for p in before if p not in written],
                generated="\n".join(entry.text for entry in own),
                tools=() if end is None else _pause(own, history[places[0] : end], stated),
            )
        )
    return calls


def _pause(
    own: Sequence[_Entry], until_next: Sequence[_Entry], stated: Stated
) -> tuple[ToolCall, ...]:
    """The actions of one response, or the user's pause before the next."""
    asked_at = own[0].timestamp
    actions = [entry for entry in own if entry.action != "message"]
    if actions:
        return tuple(_tool(action, asked_at, until_next, stated) for action in actions)
    said = [entry.timestamp for entry in until_next if entry.source == "user"]
    return user_pause(asked_at, said)


def _tool(
    action: _Entry, asked_at: datetime, until_next: Sequence[_Entry], stated: Stated
) -> ToolCall:
    metadata = action.tool_call_metadata
    name = (metadata.function_name if metadata else None) or action.action or "tool"
    ends = (e.timestamp for e in until_next if e.observation and e.cause == action.id)
    return timed_call(name, asked_at, next(ends, None), stated, f"action {action.id}")
