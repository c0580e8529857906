"""The requests of AIPerf's inputs, each beside the one before it; their texts are given up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Annotated, Any, Literal

from pydantic import Field

from marsbench.formats.fallback import Fallback
from marsbench.formats.messages import Message, text_of_message
from marsbench.formats.payloads import (
    TOOLS,
    Payload,
    are_turns,
    exact_output,
    most_output,
    payload_messages,
    without_front,
)
from marsbench.formats.reading import ReadError, Record, Tokens

_Millis = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]


class _Timed(Record):
    """timestamp, delay: milliseconds, the second after the answer before."""

    timestamp: _Millis | None = None
    delay: _Millis | None = None
    output_length: Tokens | None = None


class _Turn(_Timed):
    text: str | None = None
    texts: list[Any] | None = None
    role: str | None = None


class Row(_Timed):
    session_id: str | int | None = None
    message_mode: Literal["history", "delta"] = "history"
    messages: Any = None
    text_input: str | None = None
    payload: dict[str, Any] | None = None
    tools: Any = None
    turns: list[_Turn] | None = None
    payloads: list[dict[str, Any]] | None = None

    @property
    def is_session(self) -> bool:
        """Whether it is a whole one, and no request of one."""
        return self.turns is not None or self.payloads is not None


@dataclass(frozen=True, slots=True)
class Answered:
    """A message of which the text is given up: its hash, its tokens, and whose it is."""

    digest: bytes
    tokens: int
    role: str


@dataclass(frozen=True, slots=True)
class Request:
    """One request beside the one before it.

    prompt: tokens sent. kept: those of the leading messages that both have; None where the prompt
    goes on from the one before. reply: tokens of the answer to that, where this prompt repeats it.
    by_user: whether its last message is a user's. deltas: it holds what is new alone.
    at_ms, delay_ms, output: as stated. most: the tokens that the answer might have at most.
    """

    prompt: int
    kept: int | None
    reply: int | None
    by_user: bool
    deltas: bool
    at_ms: float | None
    delay_ms: float | None
    output: int | None
    most: int | None


@dataclass(slots=True)
class RequestsOfSession:
    """The requests of one session so far, where it begins, and why it cannot be read.

    known: each text is counted once, for later prompts repeat the earlier ones' messages.
    last, first: the messages of the request before, and of the first.
    """

    name: str
    where: str
    fallback: Fallback
    requests: list[Request] = field(default_factory=list)
    known: dict[bytes, Answered] = field(default_factory=dict)
    first: tuple[Answered, ...] = ()
    last: tuple[Answered, ...] = ()
    wrong: tuple[str, ReadError] | None = None
    notes: list[str] = field(default_factory=list)

    def take(self, row: Row, place: str) -> None:
        """A session of which one line cannot be read is left out: its history has a hole."""
        if self.wrong is not None:
            return
        try:
            if not row.is_session:
                self._add(_messages(row), row, row.message_mode == "delta", row.payload)
            for turn in row.turns or ():
                self._add(_turn_messages(turn), turn, deltas=True)
            self._take_payloads(row.payloads or ())
        except ReadError as error:
            self.wrong = place, error

    def _take_payloads(self, payloads: Sequence[Payload]) -> None:
        sent = [payload_messages(one) for one in payloads]
        if deltas := are_turns(sent):
            sent = [*sent[:1], *map(without_front, sent[1:])]
            self.notes.append("each of its payloads holds what is new, without the turns before")
        for messages, payload in zip(sent, payloads, strict=True):
            self._add(messages, _Timed(), deltas, payload)

    def _add(
        self,
        messages: Sequence[Message],
        timed: _Timed,
        deltas: bool,
        payload: Payload | None = None,
    ) -> None:
        of, body = f"call {len(self.requests)}", payload or {}
        said = tuple(self._said(message, of) for message in messages)
        if deltas and self.requests:  # definitions of tools are stated again, not sent twice
            said = tuple(one for one in said if one.role != TOOLS)
        old = self.last
        pairs = zip(old, said, strict=False)
        shared = list(takewhile(lambda pair: pair[0].digest == pair[1].digest, pairs))
        goes_on = len(shared) == len(old)
        following = said[len(old) : len(old) + 1] if goes_on and old else ()
        self.requests.append(Request(
            prompt=sum(one.tokens for one in said),
            kept=None if goes_on or deltas else sum(one.tokens for one, _ in shared),
            reply=next((one.tokens for one in following if one.role == "assistant"), None),
            by_user=bool(said) and said[-1].role == "user",
            deltas=deltas,
            at_ms=timed.timestamp,
            delay_ms=timed.delay,
            output=exact_output(body) if timed.output_length is None else timed.output_length,
            most=most_output(body),
        ))  # fmt: skip
        self.first, self.last = self.first or said, said

    def _said(self, message: Message, of: str) -> Answered:
        role = str(message.get("role") or "user")
        text = text_of_message(message)
        raw = f"{role}\0{text}".encode("utf-8", "replace")
        key = hashlib.blake2b(raw, digest_size=16).digest()
        if key not in self.known:
            self.known[key] = Answered(key, self.fallback.count(text, of), role)
        return self.known[key]


def _messages(row: Row) -> list[Message]:
    """All that a line sends."""
    payload = row.payload or {}
    text = payload.get("prompt") if row.text_input is None else row.text_input
    return payload_messages({
        **payload,
        "messages": payload.get("messages") if row.messages is None else row.messages,
        "prompt": text,
        "tools": payload.get("tools") if row.tools is None else row.tools,
    })  # fmt: skip


def _turn_messages(turn: _Turn) -> list[Message]:
    texts = [turn.text] if turn.text is not None else turn.texts or []
    content = [one.get("contents") if isinstance(one, Mapping) else one for one in texts]
    flat = [text for one in content for text in (one if isinstance(one, list) else [one])]
    if not flat or not all(isinstance(text, str) for text in flat):
        raise ReadError("turns: one has no text")
    return [{"role": turn.role or "user", "content": text} for text in flat]
