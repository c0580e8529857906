"""Prompts that the model cannot take: to hold one back would only put its error off.

The server's own tokenizer is asked (`/tokenize` of vLLM), and only where a prompt may be too long.
A server that has none is believed to take every prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

import msgspec

from marsbench import clock
from marsbench.gateway.request import BYTES_PER_TOKEN, RoundRequest
from marsbench.gateway.upstream import UpstreamError

SMALL = 1024
"""Tokens that any model takes."""
KNOWN_S = 60.0
"""Seconds that the server's word is good for; it may have been restarted."""
LEAST_BYTES_PER_TOKEN = 2


TOKENIZED = ("/v1/chat/completions", "/v1/completions")
"""APIs whose prompts the tokenizer takes."""


class TokenizingServer(Protocol):
    """Who has a tokenizer. Raises UpstreamError where it does not answer."""

    async def ask(self, path: str, content: bytes) -> bytes: ...


class _Tokens(msgspec.Struct):
    count: int
    max_model_len: int
    tokens: msgspec.Raw = msgspec.Raw(b"[]")


class _Prompt(msgspec.Struct, omit_defaults=True):
    """What of a completion or a chat its tokens are made of, to the byte."""

    model: msgspec.Raw = msgspec.Raw(b"")
    prompt: msgspec.Raw = msgspec.Raw(b"")
    messages: msgspec.Raw = msgspec.Raw(b"")
    tools: msgspec.Raw = msgspec.Raw(b"")


_read_tokens = msgspec.json.Decoder(_Tokens).decode
_Id = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
_read_ids = msgspec.json.Decoder(list[_Id]).decode
_read_prompt = msgspec.json.Decoder(_Prompt).decode


class ModelLength:
    """How long a prompt the server takes, as far as it says."""

    def __init__(self, upstream: TokenizingServer) -> None:
        self._upstream = upstream
        self._most: int | None = None
        self._until = -KNOWN_S

    async def is_exceeded(self, asked: RoundRequest, path: str, content: bytes) -> bool:
        """Whether the prompt is longer than the model's length, with no room for an answer."""
        if asked.num_prompt_tokens < SMALL:
            return False
        most = await self._known()
        if most is None:
            return False
        if asked.is_counted:
            return asked.num_prompt_tokens >= most
        if asked.num_prompt_tokens * BYTES_PER_TOKEN < most * LEAST_BYTES_PER_TOKEN:
            return False
        if path not in TOKENIZED:
            # Of the other APIs the tokenizer knows no form: certain at twice the bytes alone.
            return asked.num_prompt_tokens >= 2 * most
        tokens = await _ask(self._upstream, msgspec.json.encode(_read_prompt(content)))
        return tokens is not None and tokens.count >= tokens.max_model_len

    async def _known(self) -> int | None:
        if clock.monotonic() >= self._until:
            self._until = clock.monotonic() + KNOWN_S
            told = await _ask(self._upstream, b'{"prompt":"a"}')
            self._most = told.max_model_len if told else None
        return self._most


async def token_ids(
    server: TokenizingServer, asked: RoundRequest, path: str, content: bytes
) -> Sequence[int] | None:
    """The prompt's token ids; None where they cannot be had: the request has none, of its API the
    tokenizer knows no form, or the server has no tokenizer."""
    prompt = _read_prompt(content)
    if asked.is_counted:
        return _ids(prompt.prompt)
    if path not in TOKENIZED:
        return None
    told = await _ask(server, msgspec.json.encode(prompt))
    return None if told is None else _ids(told.tokens)


def _ids(raw: msgspec.Raw) -> Sequence[int] | None:
    try:
        return _read_ids(raw)
    except msgspec.DecodeError:  # several prompts in one, or no ids
        return None


async def _ask(server: TokenizingServer, content: bytes) -> _Tokens | None:
    try:
        return _read_tokens(await server.ask("/tokenize", content))
    except (UpstreamError, msgspec.DecodeError, UnicodeDecodeError):
        return None
