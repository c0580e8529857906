"""What a request says of its session: read from headers and body, neither is changed.

Four bytes of JSON are counted as one token where the prompt is text; token ids are counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from marsbench_backends.vllm.session_table import names_of

BYTES_PER_TOKEN = 4
SESSION_HEADERS = ("X-Session-ID", "x-litellm-session-id")


@dataclass(frozen=True, slots=True)
class RoundRequest:
    """One round as a client asks for it.

    session_id: None when the request names no session.
    is_last: the client says that its session ends with this round.
    parent_id: the session whose sub-agent this is.
    tools: names of the tools that run after it; empty when the request does not say.
    """

    session_id: str | None
    num_prompt_tokens: int
    is_last: bool = False
    parent_id: str | None = None
    tools: tuple[str, ...] = ()


class Body(msgspec.Struct):
    """The fields of a completion request that matter here; the others are passed over unread."""

    session_id: str | None = None
    prompt_cache_key: str | None = None
    vllm_xargs: dict[str, Any] | None = None
    prompt: msgspec.Raw = msgspec.Raw(b"")
    messages: msgspec.Raw = msgspec.Raw(b"")
    tools: msgspec.Raw = msgspec.Raw(b"")


_decoder = msgspec.json.Decoder(Body)


def read(headers: Mapping[str, str], content: bytes) -> RoundRequest:
    """What the request says. Raises ValueError when its body is no JSON object of a round."""
    body = _decoder.decode(content)
    xargs = body.vllm_xargs or {}
    named = (body.session_id, *map(headers.get, SESSION_HEADERS), body.prompt_cache_key)
    named += (xargs.get("session_id"), xargs.get("marsbench_session"))
    session_id = next((str(name) for name in named if name), None)
    return RoundRequest(
        session_id,
        num_tokens(body),
        xargs.get("marsbench_last") in (1, "1"),
        _parent(body, xargs, session_id),
        names_of(xargs.get("marsbench_tools")),
    )


def _parent(body: Body, xargs: Mapping[str, Any], session_id: str | None) -> str | None:
    """As told; or, as OpenHands does it, the cache key that a sub-agent shares with its parent."""
    told = xargs.get("marsbench_parent")
    parent = str(told) if told else body.prompt_cache_key
    return parent if parent != session_id else None


def num_tokens(body: Body) -> int:
    """Tokens of the prompt: counted where they are ids, else guessed from its length."""
    prompt = bytes(body.prompt)
    if prompt.startswith(b"[") and prompt[1:].lstrip()[:1] in b"0123456789[":
        return prompt.count(b",") + 1
    size = len(prompt) + len(bytes(body.messages)) + len(bytes(body.tools))
    return math.ceil(size / BYTES_PER_TOKEN)
