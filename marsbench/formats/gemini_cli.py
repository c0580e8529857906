"""Reads the chats of Gemini CLI (~/.gemini/tmp/*/chats), one session a file.

A message of the model is one reply, stamped when it had ended; its tool calls are stamped when
they had. Late versions write a line a message, a message again when it has changed, the whole
history where it was condensed (`$set`), and the answers of tools as messages of the user's. A
message that was taken back (`$rewindTo`) or condensed is still a call that was made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from marsbench.core.workload.generate import USER
from marsbench.formats.clock import seconds_of
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.messages import objects_of, text_of_message
from marsbench.formats.opening import records_of
from marsbench.formats.reading import (
    Contents,
    ReadError,
    Reading,
    Record,
    Repair,
    SessionSource,
    Tokens,
    json_of,
    record_of,
)
from marsbench.formats.timed import Talk, TimedCall, Usage, Use, reading_of
from marsbench.formats.weka import CLIENT_GAP


class _Counts(Record):
    """As the API counts: cached tokens are among the input's, thoughts are beside the output's."""

    input: Tokens
    output: Tokens
    cached: Tokens | None = None
    thoughts: Tokens | None = None
    tool: Tokens | None = None

    @property
    def usage(self) -> Usage:
        thoughts = self.thoughts or 0
        return Usage(self.input + (self.tool or 0), self.output + thoughts, self.cached, thoughts)


class _Stamped(Record):
    timestamp: datetime | None = None

    @property
    def at(self) -> float | None:
        return None if self.timestamp is None else seconds_of(self.timestamp)


class _ToolCall(_Stamped):
    name: str = "tool"


class _Message(_Stamped):
    id: str | int | None = None
    type: str
    content: Any = None
    tool_calls: list[_ToolCall] | None = Field(None, validation_alias="toolCalls")
    tokens: _Counts | None = None

    @property
    def is_answer(self) -> bool:
        """Whether it is what tools answered, under whatever name."""
        parts = objects_of(self.content)
        return bool(parts) and all("functionResponse" in part for part in parts)


class _Chat(Record):
    session: str | None = Field(None, validation_alias="sessionId")
    messages: list[Any] = Field(default_factory=list)


def read_gemini(path: Path, fallback: Fallback) -> Contents:
    """One session."""

    def read() -> Reading:
        repairs: list[Repair] = []
        name, messages = _messages(path, repairs)
        times = [at for one in messages for at in (one.at, *(t.at for t in one.tool_calls or ()))]
        talk = Talk(
            name=name or path.name.partition(".")[0],
            calls=_calls(messages, fallback.tokens is not None),
            times=times,
            repairs=repairs,
            shares="gemini-cli",
        )
        return reading_of(talk, fallback)

    return Contents((SessionSource(str(path), read),))


def _messages(path: Path, repairs: list[Repair]) -> tuple[str | None, list[_Message]]:
    """The session's name and its messages: one object's, or those of the lines."""
    name, found = None, dict[object, _Message]()
    for _, text in records_of(path):
        record = json_of(text)
        if not isinstance(record, Mapping):
            raise ReadError("expected an object")
        changed = record.get("$set")
        chat = record_of(_Chat, changed if isinstance(changed, Mapping) else record)
        name = name or chat.session
        own = [record] if "type" in record else chat.messages
        for one in own:
            try:
                message = record_of(_Message, one)
            except ReadError as error:
                repairs.append(Repair("a message that cannot be read", str(error)))
                continue
            found[len(found) if message.id is None else str(message.id)] = message
    return name, list(found.values())


def _calls(messages: Sequence[_Message], keeps_text: bool) -> list[TimedCall]:
    calls: list[TimedCall] = []
    last_at, set_off_by, said = None, CLIENT_GAP, list[str]()
    for one in messages:
        if one.type != "gemini":
            if one.is_answer:
                last_at = one.at if last_at is None else max(last_at, one.at or last_at)
            elif one.type == "user":
                last_at, set_off_by = one.at, USER
                said += [_text(one)] if keeps_text else []
            continue
        uses = [Use(name=t.name, asked_at=one.at, answered_at=t.at) for t in one.tool_calls or ()]
        calls.append(TimedCall(
            of=f"call {len(calls)}", sent_at=last_at, ended_at=one.at, set_off_by=set_off_by,
            usage=one.tokens.usage if one.tokens is not None else Usage(),
            appended=said, generated=_text(one) if keeps_text else "", uses=uses,
        ))  # fmt: skip
        answered = [use.answered_at for use in uses if use.answered_at is not None]
        last_at, set_off_by, said = max(answered, default=one.at), CLIENT_GAP, []
    return calls


def _text(message: _Message) -> str:
    return text_of_message({"content": message.content})


def _recognised(head: Head) -> str | None:
    return "it has a sessionId and a projectHash" if head.has("sessionId", "projectHash") else None


FORMAT = Format(
    name="gemini-cli",
    title="a chat of Gemini CLI",
    tried=("0.20 (2025-12)", "0.61.0 (2026-11-26)"),
    recognise=_recognised,
    read=read_gemini,
    has_arrivals=True,
)
