"""One conversation of OpenHands V1: its state, and a file an event.

Token usage is not in the events but in the state, joined by the id of the model's response. A
tool's time runs from the response to the tool's answer: calls of one response that ran one
after another thus end when they ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
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
from marsbench.formats.messages import text_of_message
from marsbench.formats.reading import (
    ReadError,
    Reading,
    Record,
    json_of,
    record_of,
    text_of,
)
from marsbench.formats.stated import Stated

STATE = "base_state.json"
CONDENSATION = "Condensation"
ANSWERS = ("ObservationEvent", "UserRejectObservation", "AgentErrorEvent")


class _Usage(Record):
    response_id: str
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class _Metrics(Record):
    token_usages: list[_Usage] = Field(default_factory=list)


class _Stats(Record):
    usage_to_metrics: dict[str, _Metrics] = Field(default_factory=dict)


class _State(Record):
    id: str | None = None
    stats: _Stats = Field(default_factory=_Stats)


class _Event(Record):
    id: str = ""
    kind: str
    source: str = ""
    timestamp: datetime
    llm_response_id: str | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    tool_call: dict[str, Any] | None = None
    action_id: str | None = None
    thought: Any = None
    llm_message: dict[str, Any] | None = None
    observation: dict[str, Any] | None = None
    system_prompt: dict[str, Any] | None = None
    tools: list[Any] | None = None
    error: str | None = None
    summary: str | None = None

    @property
    def is_response(self) -> bool:
        """Whether a model wrote it: an action, a message, or a condensation's summary."""
        return self.llm_response_id is not None and self.kind not in ANSWERS

    @property
    def text(self) -> str:
        """What a model reads of it, where no usage tells its length."""
        parts = [
            _content(self.system_prompt and [self.system_prompt]),
            json.dumps(self.tools) if self.tools else "",
            _content(self.thought),
            json.dumps(self.tool_call) if self.tool_call else "",
            text_of_message(self.llm_message) if self.llm_message else "",
            _content((self.observation or {}).get("content")),
            self.error or "",
            self.summary or "",
        ]
        return "\n".join(part for part in parts if part)


def v1_session(folder: Path, stated: Stated) -> Reading:
    """The session of one conversation's folder. Raises ReadError."""
    state = record_of(_State, json_of(text_of(folder / STATE)))
    events = _events(folder / "events")
    usages = {
        u.response_id: u for m in state.stats.usage_to_metrics.values() for u in m.token_usages
    }
    groups = _groups(events)
    calls = _calls(events, groups, usages, stated)
    prefix = next((event.text for event in events if event.kind == "SystemPromptEvent"), "")
    notes = unseen(usages.keys(), groups.keys())
    return Reading(session_of_calls(state.id or folder.name, calls, stated, prefix), notes)


def _events(folder: Path) -> list[_Event]:
    """All events in their order. Raises ReadError naming the file that is none."""
    files = sorted(folder.glob("event-*.json"), key=_number)
    if not files:
        raise ReadError("events: holds no event")
    found = []
    for file in files:
        try:
            found.append(record_of(_Event, json_of(text_of(file))))
        except ReadError as error:
            raise ReadError(f"{file.name}: {error}") from error
    return found


def _number(file: Path) -> tuple[int, str]:
    number = file.stem.split("-")[1]
    return (int(number) if number.isdigit() else 0, file.name)


def _groups(events: Sequence[_Event]) -> dict[str, list[int]]:
    """For each response, in order, the places of its events."""
    groups: dict[str, list[int]] = {}
    for place, event in enumerate(events):
        if event.is_response:
            groups.setdefault(event.llm_response_id or "", []).append(place)
    return groups


def _calls(
    events: Sequence[_Event],
    groups: Mapping[str, Sequence[int]],
    usages: Mapping[str, _Usage],
    stated: Stated,
) -> list[Call]:
    written = {place for places in groups.values() for place in places}
    starts = [places[0] for places in groups.values()]
    calls: list[Call] = []
    begin, condensed = 0, False
    for number, (response, places) in enumerate(groups.items()):
        usage = usages.get(response)
        own = [events[place] for place in places]
        until = starts[number + 1] if number + 1 < len(starts) else None
        calls.append(
            Call(
                prompt=usage.prompt_tokens if usage else None,
                output=usage.completion_tokens if usage else None,
                appended=[events[p].text for p in range(begin, starts[number]) if p not in written],
                generated="\n".join(event.text for event in own),
                tools=() if until is None else _pause(own, events, until, stated),
                # A condenser has a prompt of its own; the agent goes on with what it left.
                kept=() if own[0].kind == CONDENSATION else None,
                anew=condensed,
            )
        )
        begin, condensed = starts[number], own[0].kind == CONDENSATION
    return calls


def _pause(
    own: Sequence[_Event], events: Sequence[_Event], until: int, stated: Stated
) -> tuple[ToolCall, ...]:
    """The tool calls of one response, or the user's pause before the next."""
    asked_at = own[0].timestamp
    actions = [event for event in own if event.kind == "ActionEvent"]
    if actions:
        return tuple(_tool(action, asked_at, events, stated) for action in actions)
    place = events.index(own[-1])
    said = [e.timestamp for e in events[place:until] if e.source == "user"]
    return user_pause(asked_at, said)


def _tool(action: _Event, asked_at: datetime, events: Sequence[_Event], stated: Stated) -> ToolCall:
    name = action.tool_name or "tool"
    ends = (e.timestamp for e in events if e.kind in ANSWERS and _answers(e, action))
    return timed_call(name, asked_at, next(ends, None), stated, f"event {action.id}")


def _answers(event: _Event, action: _Event) -> bool:
    if event.action_id is not None:
        return event.action_id == action.id
    return event.tool_call_id is not None and event.tool_call_id == action.tool_call_id


def _content(value: Any) -> str:
    return text_of_message({"content": value}) if value else ""
