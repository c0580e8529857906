"""One conversation of OpenHands V1: its state, and a file an event.

Token usage is not in the events but in the state.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from marsbench.formats.fallback import Fallback
from marsbench.formats.messages import text_of_message
from marsbench.formats.openhands_events import AgentEvent, ResponseUsage, session_of_events
from marsbench.formats.opening import bytes_of
from marsbench.formats.reading import ReadError, Reading, Record, json_of, record_of

STATE = "base_state.json"
ANSWERS = ("ObservationEvent", "UserRejectObservation", "AgentErrorEvent")


class _Metrics(Record):
    token_usages: list[ResponseUsage] = Field(default_factory=list)


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
    def response(self) -> str | None:
        """Of the model that wrote it: an action, a message, or a condensation's summary."""
        return None if self.kind in ANSWERS else self.llm_response_id

    @property
    def text(self) -> str:
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

    def answers(self, action: _Event) -> bool:
        if self.action_id is not None:
            return self.action_id == action.id
        return self.tool_call_id is not None and self.tool_call_id == action.tool_call_id


def v1_session(folder: Path, fallback: Fallback) -> Reading:
    """The session of one conversation's folder. Raises ReadError."""
    state = record_of(_State, json_of(bytes_of(folder / STATE)))
    records = _records(folder / "events")
    answers = [record for record in records if record.kind in ANSWERS]
    usages = [u for m in state.stats.usage_to_metrics.values() for u in m.token_usages]
    events = [_event(record, answers) for record in records]
    prefix = next((record.text for record in records if record.kind == "SystemPromptEvent"), "")
    return session_of_events(state.id or folder.name, events, usages, prefix, fallback)


def _records(folder: Path) -> list[_Event]:
    """All events in their order. Raises ReadError naming the file that is none."""
    files = sorted(folder.glob("event-*.json"), key=_number)
    if not files:
        raise ReadError("events: holds no event")
    records = []
    for file in files:
        try:
            records.append(record_of(_Event, json_of(bytes_of(file))))
        except ReadError as error:
            raise ReadError(f"{file.name}: {error}") from error
    return records


def _number(file: Path) -> tuple[int, str]:
    number = file.stem.split("-")[1]
    return (int(number) if number.isdigit() else 0, file.name)


def _event(record: _Event, answers: Sequence[_Event]) -> AgentEvent:
    called = record.kind == "ActionEvent"
    return AgentEvent(
        of=f"event {record.id}",
        at=record.timestamp,
        source=record.source,
        text=record.text,
        response=record.response,
        tool=record.tool_name or "tool" if called else None,
        answered_at=next((a.timestamp for a in answers if called and a.answers(record)), None),
        condenses=record.kind == "Condensation",
    )


def _content(value: Any) -> str:
    return text_of_message({"content": value}) if value else ""
