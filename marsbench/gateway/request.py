"""What a request says of its session: read from headers and body, neither is changed.

Four bytes of JSON are counted as one token where the prompt is text; token ids are counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from marsbench.gateway.messages import listed
from marsbench.gateway.naming import Names, named, tenant_of
from marsbench_backends.signals import DEFAULT_TENANT
from marsbench_backends.vllm.session_table import names_of

BYTES_PER_TOKEN = 4
_EMPTY = (b"", b"null", b"[]")


@dataclass(frozen=True, slots=True)
class RoundRequest:
    """One round as a client asks for it.

    session_id: None when the request names no session.
    is_last: the client says that its session ends with this round.
    parent_id: the session whose sub-agent this is.
    tools: names of the tools that run after it; empty when the request does not say.
    is_counted: its prompt is token ids, so their number is no guess.
    tells: its client says itself what follows (`vllm_xargs.marsbench_…`), so its answers need not.
    offers_tools: the model may call tools, so an answer without a call is its last word.
    previous_response_id: the response that it goes on from, which has a session.
    needs_response: it goes on from a response, which its server has.
    messages: of a chat that names no session otherwise. seed: what else tells such chats apart.
    tenant: on whose account its session runs.
    """

    session_id: str | None
    num_prompt_tokens: int
    is_last: bool = False
    parent_id: str | None = None
    tools: tuple[str, ...] = ()
    is_counted: bool = False
    tells: bool = False
    offers_tools: bool = False
    previous_response_id: str | None = None
    messages: Sequence[Any] = ()
    seed: Sequence[Any] = ()
    tenant: str = DEFAULT_TENANT
    needs_response: bool = False


@dataclass(frozen=True, slots=True)
class RoundToSend:
    """A round that may go. session: None where it is nobody's. path: its API."""

    session: str | None
    number: int
    asked: RoundRequest
    path: str


class Body(Names):
    """The fields of a round that matter here; the others are passed over unread.

    Of completions the prompt, of chats and Anthropic's messages the messages, of responses the
    input; `system` and `instructions` stand beside the messages in the latter two.
    """

    prompt: msgspec.Raw = msgspec.Raw(b"")
    messages: msgspec.Raw = msgspec.Raw(b"")
    input: msgspec.Raw = msgspec.Raw(b"")
    tools: msgspec.Raw = msgspec.Raw(b"")
    model: Any = None
    system: Any = None
    instructions: Any = None


_decoder = msgspec.json.Decoder(Body)


def read(
    headers: Mapping[str, str], content: bytes, session_header: str | None = None
) -> RoundRequest:
    """What the request says. Raises ValueError when its body is no JSON object of a round.

    session_header: one more header that names sessions, before all others.
    """
    body = _decoder.decode(content)
    xargs = body.vllm_xargs or {}
    session_id, parent_id = named(headers, body, session_header)
    previous = body.previous_response_id if session_id is None else None
    messages = _messages(body) if session_id is None and previous is None else ()
    return RoundRequest(
        session_id,
        num_tokens(body),
        xargs.get("marsbench_last") in (1, "1"),
        parent_id,
        names_of(xargs.get("marsbench_tools")),
        _is_ids(bytes(body.prompt)),
        any(name.startswith("marsbench_") and name != "marsbench_tenant" for name in xargs),
        bytes(body.tools) not in _EMPTY,
        None if previous is None else str(previous),
        messages,
        (body.model, body.system, body.instructions) if messages else (),
        tenant_of(headers, body),
        body.previous_response_id is not None,
    )


def _messages(body: Body) -> tuple[Any, ...]:
    raw = bytes(body.messages) or bytes(body.input)
    return tuple(listed(msgspec.json.decode(raw))) if raw else ()


def text_of(content: bytes) -> bytes:
    """The prompt's bytes as they stand in the request; what it goes on with stands at the end."""
    body = _decoder.decode(content)
    beside = (msgspec.json.encode(one) for one in (body.system, body.instructions) if one)
    prompt = bytes(body.messages) or bytes(body.input) or bytes(body.prompt)
    return b"".join((bytes(body.tools), *beside, prompt[:-1]))  # without its closing bracket


def _is_ids(prompt: bytes) -> bool:
    return prompt.startswith(b"[") and prompt[1:].lstrip()[:1] in b"0123456789["


def num_tokens(body: Body) -> int:
    """Tokens of the prompt: counted where they are ids, else guessed from its length."""
    prompt = bytes(body.prompt)
    if _is_ids(prompt):
        return prompt.count(b",") + 1
    beside = (body.system, body.instructions)
    size = sum(len(bytes(raw)) for raw in (body.prompt, body.messages, body.input, body.tools))
    size += sum(len(msgspec.json.encode(one)) for one in beside if one is not None)
    return math.ceil(size / BYTES_PER_TOKEN)
