"""An answer's server-sent events: which tokens came, when their bytes began, and what it cost."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import msgspec

DONE = b"[DONE]"
_lines = re.compile(rb"[^\r\n]+")
_FIELDS = (b":", b"event:", b"id:", b"retry:")  # of server-sent events, and of no use here


class AnswerError(Exception):
    """An answer that is not one: why."""


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class TokenUsage(msgspec.Struct):
    """What one of the last events says of the whole answer."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class Delta(msgspec.Struct):
    """What an event of a chat adds to its message."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[msgspec.Raw] | None = None


class StreamChoice(msgspec.Struct):
    """What an event holds of the answer: a text of its own, or in a chat a delta."""

    text: str = ""
    delta: Delta | None = None
    finish_reason: str | None = None
    token_ids: list[int] | None = None

    @property
    def written(self) -> str:
        """The part of the answer's text."""
        return self.text if self.delta is None else self.delta.content or ""

    @property
    def has_token(self) -> bool:
        """Whether there is a token in it, as far as can be seen without token ids.

        The last event often holds nothing but the reason of the end, a chat's first the role.
        """
        new = self.delta
        if new is None:
            return bool(self.text) or self.finish_reason is None
        return bool(new.content or new.reasoning or new.reasoning_content or new.tool_calls)


class Chunk(msgspec.Struct):
    """An event."""

    choices: list[StreamChoice] = []
    usage: TokenUsage | None = None
    error: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(Chunk).decode


@dataclass(slots=True)
class StreamedAnswer:
    """What an answer's stream held.

    offsets: where in the body each event with tokens begins. counts: tokens in each; None where
        the server does not say and one an event does not add up to its total.
    token_ids: the tokens, where the server returns them.
    """

    offsets: list[int] = field(default_factory=list)
    counts: list[int] | None = field(default_factory=list)
    token_ids: list[int] | None = None
    texts: list[str] = field(default_factory=list)
    output_tokens: int = 0
    prompt_tokens: int | None = None
    cached_tokens: int | None = None


def read_answer(body: bytes) -> StreamedAnswer:
    """The whole stream. Raises AnswerError when it is malformed, an error, or was cut short."""
    answer, done = StreamedAnswer(), False
    ids: list[int] = []
    usage: TokenUsage | None = None
    for line in _lines.finditer(body):
        text = line.group()
        if not text.startswith(b"data:"):
            _check(text)
        elif (payload := text[5:].strip()) == DONE:
            done = True
        else:
            chunk = _chunk(payload)
            if chunk.usage is not None:
                usage = chunk.usage
            for choice in chunk.choices:
                _add(answer, ids, choice, line.start())
    if not done:
        raise AnswerError("the stream closed before its end")
    _settle(answer, ids, usage)
    return answer


def _check(line: bytes) -> None:
    if not line.startswith(_FIELDS):
        raise AnswerError(f"a line of the stream is no event: {_shown(line)}")


def _chunk(payload: bytes) -> Chunk:
    try:
        chunk = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AnswerError(f"an event of the stream is malformed: {_shown(payload)}") from error
    if b'"error"' in payload and bytes(chunk.error) not in (b"", b"null"):
        raise AnswerError(f"the server gave up: {_shown(bytes(chunk.error))}")
    return chunk


def _add(answer: StreamedAnswer, ids: list[int], choice: StreamChoice, offset: int) -> None:
    assert answer.counts is not None
    if choice.token_ids is not None:
        ids += choice.token_ids
        number = len(choice.token_ids)
    else:
        number = int(choice.has_token)
    if number:
        answer.offsets.append(offset)
        answer.counts.append(number)
        answer.texts.append(choice.written)


def _settle(answer: StreamedAnswer, ids: list[int], usage: TokenUsage | None) -> None:
    assert answer.counts is not None
    seen = sum(answer.counts)
    if usage is not None:
        answer.prompt_tokens = usage.prompt_tokens
        details = usage.prompt_tokens_details
        answer.cached_tokens = None if details is None else details.cached_tokens
    told = None if usage is None else usage.completion_tokens
    answer.output_tokens = seen if told is None else told
    answer.token_ids = ids or None
    if answer.output_tokens != seen:
        answer.counts = None
    if not answer.offsets:
        raise AnswerError("the stream held no token")


def _shown(raw: bytes) -> str:
    return raw[:120].decode(errors="replace")
