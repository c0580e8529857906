"""The body of a request to a model: what it sends, and how long its answer may be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from marsbench.formats.messages import Message, messages_of
from marsbench.formats.reading import ReadError

Payload = Mapping[str, Any]
"""Of a chat, a completion or a response, as OpenAI's servers take it."""

TOOLS = "tools"
"""Whose the definitions of tools are, which a request has beside its messages."""

IN_FRONT = (TOOLS, "system", "developer")
"""Whose messages stand in front of a conversation."""

_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")


def payload_messages(payload: Payload) -> list[Message]:
    """All that a request sends; definitions of tools come first, as in a chat template.

    Raises ReadError where that is nothing.
    """
    found = payload.get("messages")
    messages = messages_of(_input(payload) if found is None else found)
    if not messages:
        raise ReadError("messages: there are none")
    tools = payload.get("tools")
    return [{"role": TOOLS, "content": json.dumps(tools)}, *messages] if tools else messages


def _input(payload: Payload) -> Any:
    """A completion's prompt, or the input of a response behind its instructions."""
    found = payload.get("prompt")
    found = payload.get("input") if found is None else found
    items = [found] if isinstance(found, str) else found
    if not isinstance(items, list):
        return None
    system = payload.get("instructions")
    front = [{"role": "system", "content": system}] if system else []
    return [*front, *map(_message, items)]


def _message(item: Any) -> Any:
    if isinstance(item, str):
        return {"role": "user", "content": item}
    if not isinstance(item, Mapping) or item.get("type") not in _ITEMS:
        return item
    role = _ITEMS[item["type"]]
    return {"role": role, "output": item.get("output") if role == "tool" else [item]}


_ITEMS = {"function_call": "assistant", "function_call_output": "tool"}
"""Items of a response that are no messages, and whose they are."""


def most_output(payload: Payload) -> int | None:
    """The most tokens that an answer may have; None where the request does not say."""
    stated = (payload.get(name) for name in _LIMITS)
    return next((one for one in stated if type(one) is int and 0 < one <= 10**9), None)


def exact_output(payload: Payload) -> int | None:
    """The tokens that an answer has, where the request leaves it no choice."""
    most = most_output(payload)
    is_forced = payload.get("ignore_eos") is True or payload.get("min_tokens") == most
    return most if is_forced else None


def are_turns(sent: Sequence[Sequence[Message]]) -> bool:
    """Whether each of these requests of one session holds what is new alone.

    So AIPerf writes down a conversation that it held turn by turn. A whole prompt begins as the
    one before, or holds an answer.
    """
    talks = [without_front(one) for one in sent]
    return len(talks) > 1 and not any(
        before[:1] == after[:1] or any(one.get("role") == "assistant" for one in after)
        for before, after in pairwise(talks)
    )


def without_front(messages: Sequence[Message]) -> list[Message]:
    """Those of the conversation itself."""
    return [one for one in messages if one.get("role") not in IN_FRONT]
