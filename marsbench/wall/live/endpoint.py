"""Where a round is asked for: how its request is written and its stream's events are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from marsbench.wall.live.stream import Chunk, Decode


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way to ask for a round.

    prompt: the field of the request that holds the prompt, with %s for the prompt as JSON.
    decode: an event's payload; raises msgspec.DecodeError.
    holds_token: whether bytes as they came hold (some of) an event with a token, the first one.
    """

    path: str
    prompt: bytes
    decode: Decode
    holds_token: Callable[[bytes], bool]


class _Choice(msgspec.Struct):
    text: str = ""
    finish_reason: str | None = None
    token_ids: list[int] | None = None

    @property
    def has_token(self) -> bool:
        """The last event often holds nothing but the reason of the end."""
        return bool(self.text) or self.finish_reason is None


def _begins(data: bytes) -> bool:
    """The first event holds a token, unless it is an error or the end."""
    return b"data:" in data and not any(word in data for word in (b"[DONE]", b'"error"'))


COMPLETIONS = Endpoint(
    "/v1/completions", b'"prompt":%s', msgspec.json.Decoder(Chunk[_Choice]).decode, _begins
)
