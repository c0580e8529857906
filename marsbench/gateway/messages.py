"""The messages of a chat, whichever API they are sent through, as values that can be compared.

What clients change between two rounds without meaning it does not count: where the marks of prompt
caching stand, and whether a text is a string or a list of one block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import msgspec

HASH_BYTES = 16

_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Said:
    """What the model said, as far as it shows whose chat this is: hashes, so that it stays small.

    call_ids: of the tool calls that its client is to run.
    texts: of its messages, without the blanks around them.
    """

    call_ids: frozenset[bytes] = frozenset()
    texts: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, call_ids: Iterable[str] = (), texts: Iterable[str] = ()) -> Said:
        """Of the words themselves."""
        return cls(frozenset(map(_hashed, call_ids)), frozenset(map(_hashed, texts)))

    def __or__(self, other: Said) -> Said:
        return Said(self.call_ids | other.call_ids, self.texts | other.texts)


def listed(value: Any) -> list[Any]:
    """Messages as a list: the Responses API takes a text for one message of the user's."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    return value if isinstance(value, list) else []


def prefix_keys(seed: Any, messages: Sequence[Any]) -> list[bytes]:
    """For each number of leading messages, from 0 on, the key of the chat that far."""
    steps = (_encode(_plain(one)) for one in (seed, *messages))
    return list(accumulate(steps, _chained, initial=b""))[1:]


def _chained(before: bytes, content: bytes) -> bytes:
    return hashlib.blake2b(before + content, digest_size=HASH_BYTES).digest()


def _hashed(text: str) -> bytes:
    return _chained(b"", text.encode("utf-8", "surrogatepass"))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _plain(one) for name, one in value.items() if name != "cache_control"}
    match kept.get("content"):
        case [{"type": "text" | "input_text", "text": str(text), **rest}] if not rest:
            kept["content"] = text
    return kept


def said_in(message: Any) -> Said:
    """The tool calls and texts of the model that a message repeats, or answers to."""
    if not isinstance(message, dict):
        return Said()
    calls = message.get("tool_calls")
    parts = [message, *_objects(calls), *_objects(message.get("content"))]
    ids = {part.get(key) for part in parts for key in _ID_KEYS} | {
        part.get("id") for part in parts[1:]
    }
    texts = _texts(message) if message.get("role") == "assistant" else ()
    return Said.of((one for one in ids if isinstance(one, str)), texts)


_ID_KEYS = ("tool_call_id", "tool_use_id", "call_id")


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(message: dict[str, Any]) -> Iterator[str]:
    content = message.get("content")
    text = (
        content
        if isinstance(content, str)
        else "".join(one["text"] for one in _objects(content) if isinstance(one.get("text"), str))
    )
    if text.strip():
        yield text.strip()
