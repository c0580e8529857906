"""One conversation of OpenHands V1: its state, and a file an event; or a row of an evaluation.

Token usage is not in the events but in the state, or beside them in the row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field

from marsbench.formats.fallback import Fallback
from marsbench.formats.messages import text_of_message
from marsbench.formats.openhands_events import AgentEvent, Metrics, session_of_events
from marsbench.formats.openhands_v0 import said_error
from marsbench.formats.opening import bytes_of
from marsbench.formats.reading import ReadError, Reading, Record, json_of, record_of

STATE = "base_state.json"
ANSWERS = ("ObservationEvent", "UserRejectObservation", "AgentErrorEvent")


class _Stats(Record):
    """Who used what; the early V1 said service where it now says usage."""

    by_user: dict[str, Metrics] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("usage_to_metrics", "service_to_metrics"),
    )


class _State(Record):
    id: str | None = None
    stats: _Stats | None = None

    @property
    def metrics(self) -> Metrics:
        """Of the agent and its condenser together."""
        own = () if self.stats is None else self.stats.by_user.values()
        return reduce(Metrics.joined, own, Metrics())


class _Event(Record):
    id: str | int = ""
    kind: str
    source: str = ""
    timestamp: datetime | None = None
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


class _Answers:
    """When each action was answered first."""

    def __init__(self, records: Sequence[_Event]) -> None:
        answers = [record for record in records if record.kind in ANSWERS]
        by_action = ((one.action_id, one.timestamp) for one in answers if one.action_id is not None)
        by_call = ((one.tool_call_id, one.timestamp) for one in answers if one.action_id is None)
        self._by_action, self._by_call = _firsts(by_action), _firsts(by_call)

    def at(self, action: _Event) -> datetime | None:
        if action.kind != "ActionEvent":
            return None
        call = action.tool_call_id
        own = self._by_action.get(str(action.id))
        return own if own is not None or call is None else self._by_call.get(call)


def _firsts(
    pairs: Iterable[tuple[str | None, datetime | None]],
) -> dict[str | None, datetime | None]:
    found: dict[str | None, datetime | None] = {}
    for key, at in pairs:
        found.setdefault(key, at)
    return found


def v1_session(folder: Path, fallback: Fallback) -> Reading:
    """The session of one conversation's folder. Raises ReadError."""
    state = record_of(_State, json_of(bytes_of(folder / STATE)))
    return _session(state.id or folder.name, _records(folder / "events"), state.metrics, fallback)


class _Row(Record):
    instance_id: str | int
    history: list[_Event]
    metrics: Metrics | None = None
    error: str | None = None


def v1_row(record: Any, fallback: Fallback) -> Reading:
    """The session of one row of an evaluation's output.jsonl. Raises ReadError."""
    row = record_of(_Row, record)
    if not any(event.response for event in row.history):
        raise ReadError(f"holds no call of a model{said_error(row.error)}")
    return _session(str(row.instance_id), row.history, row.metrics or Metrics(), fallback)


def _session(name: str, records: Sequence[_Event], metrics: Metrics, fallback: Fallback) -> Reading:
    answers = _Answers(records)
    events = [_event(record, answers.at(record)) for record in records]
    prefix = next((record.text for record in records if record.kind == "SystemPromptEvent"), "")
    return session_of_events(name, events, metrics, prefix, fallback)


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


def _event(record: _Event, answered_at: datetime | None) -> AgentEvent:
    called = record.kind == "ActionEvent"
    return AgentEvent(
        of=f"event {record.id}",
        at=record.timestamp,
        source=record.source,
        text=record.text,
        response=record.response,
        tool=record.tool_name or "tool" if called else None,
        answered_at=answered_at,
        condenses=record.kind == "Condensation",
    )


def _content(value: Any) -> str:
    return text_of_message({"content": value}) if value else ""
