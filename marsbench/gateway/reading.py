"""What an answer says, read as it passes: its id, the model's words, and whether it was the last.

Three APIs, each as one object or as a stream of events. Nothing is changed, and an answer that
cannot be read (one that is encoded, say) tells nothing. Many clients close their connection at a
stream's final event, before the server ends its body: from that event on the answer is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import msgspec

from marsbench.gateway.messages import Said

LONGEST = 8 << 20
"""Bytes of an answer that are kept to be read, or of one event of a stream."""
MOST_CALLS = 64
"""Tool calls of an answer that are remembered: any one of them shows whose it was."""
DATA, DONE = b"data:", b"[DONE]"
"""How an event's line begins, and the last event of OpenAI's streams."""
TAIL = 32
"""Bytes that the line of that event is found in."""


@dataclass(frozen=True, slots=True)
class WhatWasSaid:
    """Of a whole answer.

    response_id: by which a later request may name it.
    said: what a later round of the same chat repeats.
    is_final: the model was done, and asked for no tool.
    """

    response_id: str | None
    said: Said
    is_final: bool


@dataclass(slots=True)
class Heard:
    """What has been read of an answer so far. is_whole: its API's own final event was."""

    response_id: str | None = None
    call_ids: dict[str, None] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    calls_tools: bool = False
    is_done: bool = False
    is_whole: bool = False

    def call(self, call_id: str | None) -> None:
        self.calls_tools = True
        if call_id:
            self.call_ids[call_id] = None

    def result(self) -> WhatWasSaid:
        text = "".join(self.texts).strip()
        said = Said.of(islice(self.call_ids, MOST_CALLS), [text] if text else ())
        return WhatWasSaid(self.response_id, said, self.is_done and not self.calls_tools)


class ReadAnswer(Protocol):
    """One API's answers: `whole` is one object, or one event of a stream."""

    def __call__(self, content: bytes | bytearray, heard: Heard) -> None: ...


# --- chat completions


class _Call(msgspec.Struct):
    id: str | None = None


class _Message(msgspec.Struct):
    content: Any = None
    tool_calls: list[_Call] | None = None
    function_call: Any = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None


class _Chat(msgspec.Struct):
    id: str | None = None
    choices: list[_Choice] = []


_read_chat = msgspec.json.Decoder(_Chat).decode


def read_chat(content: bytes | bytearray, heard: Heard) -> None:
    chat = _read_chat(content)
    heard.response_id = chat.id or heard.response_id
    for choice in chat.choices:
        heard.is_done |= choice.finish_reason == "stop"
        if message := choice.message or choice.delta:
            _hear_message(message, heard)


def _hear_message(message: _Message, heard: Heard) -> None:
    if isinstance(message.content, str):
        heard.texts.append(message.content)
    heard.calls_tools |= message.function_call is not None
    for call in message.tool_calls or ():
        heard.call(call.id)


# --- Anthropic's messages


class _Part(msgspec.Struct):
    """A block of content, a piece of one, or how the message ended."""

    type: str = ""
    id: str | None = None
    text: str | None = None
    stop_reason: str | None = None


class _Anthropic(msgspec.Struct):
    """A message, or an event of its stream."""

    type: str = ""
    id: str | None = None
    content: list[_Part] = []
    stop_reason: str | None = None
    message: _Part | None = None
    content_block: _Part | None = None
    delta: _Part | None = None


_read_anthropic = msgspec.json.Decoder(_Anthropic).decode


def read_messages(content: bytes | bytearray, heard: Heard) -> None:
    told = _read_anthropic(content)
    heard.response_id = told.id or (told.message and told.message.id) or heard.response_id
    heard.is_whole |= told.type == "message_stop"
    stops = {told.stop_reason, told.delta and told.delta.stop_reason}
    heard.is_done |= bool(stops & {"end_turn", "stop_sequence"})
    for part in (*told.content, told.content_block, told.delta):
        if part is not None:
            _hear_part(part, heard)


def _hear_part(part: _Part, heard: Heard) -> None:
    if part.text:
        heard.texts.append(part.text)
    if part.type == "tool_use":
        heard.call(part.id)


# --- responses


class _Item(msgspec.Struct):
    """Of an answer's output; what its client has to run has a `call_id`."""

    type: str = ""
    call_id: str | None = None
    content: Any = None


class _Response(msgspec.Struct):
    """A response, or an event of its stream that has one."""

    id: str | None = None
    status: str | None = None
    output: list[_Item] = []
    response: _Response | None = None


FINAL = ("completed", "incomplete", "failed")
"""Statuses of a response that nothing follows."""

_read_response = msgspec.json.Decoder(_Response).decode


def read_responses(content: bytes | bytearray, heard: Heard) -> None:
    told = _read_response(content)
    whole = told if told.response is None else told.response
    if whole.status is None:  # an event of a part, which the last one repeats
        return
    heard.response_id = whole.id or heard.response_id
    heard.is_done = whole.status == "completed"
    heard.is_whole = whole.status in FINAL
    for item in whole.output:
        _hear_item(item, heard)


def _hear_item(item: _Item, heard: Heard) -> None:
    if item.call_id:
        heard.call(item.call_id)
    parts = item.content if item.type == "message" and isinstance(item.content, list) else ()
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    heard.texts.extend(text for text in texts if isinstance(text, str))


# --- the bytes


class AnswerReader:
    """Fed with an answer's bytes as they pass; `result` when it has ended.

    is_whole: a stream's final event has passed, whatever of the stream could be read.
    """

    def __init__(self, read_answer: ReadAnswer, content_type: str, encoding: str) -> None:
        self.is_whole = False
        self._read_answer = read_answer
        self._is_stream = is_stream(content_type, encoding)
        self._heard: Heard | None = None if encoding else Heard()
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> None:
        if self._heard is None and not self._is_stream:
            return
        self._rest += chunk
        if self._is_stream:
            *lines, self._rest = self._rest.split(b"\n")
            for event in _events(lines):
                self._hear(event)
        if len(self._rest) > LONGEST:
            self._heard, self._rest = None, bytearray()

    def result(self) -> WhatWasSaid | None:
        """What it said; None where it could not be read."""
        if not self._is_stream:
            self._read(self._rest)
        return None if self._heard is None else self._heard.result()

    def _hear(self, event: bytearray) -> None:
        if event == DONE:
            self.is_whole = True
            return
        self._read(event)
        self.is_whole |= self._heard is not None and self._heard.is_whole

    def _read(self, content: bytes | bytearray) -> None:
        if self._heard is None:
            return
        try:
            self._read_answer(content, self._heard)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._heard = None


class EndReader:
    """Of an answer that nothing is read of: only whether its stream's final event has passed."""

    def __init__(self, content_type: str, encoding: str) -> None:
        self._is_stream = is_stream(content_type, encoding)
        self._tail = b""

    def feed(self, chunk: bytes) -> None:
        self._tail = (self._tail + chunk[-TAIL:])[-TAIL:]

    @property
    def is_whole(self) -> bool:
        last = bytearray(self._tail.rstrip().rpartition(b"\n")[2])
        return self._is_stream and list(_events([last])) == [DONE]

    def result(self) -> None:
        """Nothing is known of what it said."""


def is_stream(content_type: str, encoding: str) -> bool:
    """Whether the answer is a stream of events that can be read."""
    return content_type.startswith("text/event-stream") and not encoding


def _events(lines: list[bytearray]) -> Iterator[bytearray]:
    for line in lines:
        if line.startswith(DATA) and (data := line[len(DATA) :].strip()):
            yield data


APIS: dict[str, ReadAnswer] = {
    "/v1/chat/completions": read_chat,
    "/v1/messages": read_messages,
    "/v1/responses": read_responses,
}
"""By the path of the request; of plain completions nothing is read but their end."""
