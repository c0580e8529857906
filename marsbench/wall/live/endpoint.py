"""Where a round is asked for, and how its first token shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way to ask for a round.

    prompt: the field of the request that holds the prompt, with %s for the prompt as JSON.
    holds_token: whether bytes as they came hold (some of) an event with a token, the first one.
    """

    path: str
    prompt: bytes
    holds_token: Callable[[bytes], bool]


def _begins(data: bytes) -> bool:
    """The first event holds a token, unless it is an error or the end."""
    return b"data:" in data and not any(word in data for word in (b"[DONE]", b'"error"'))


COMPLETIONS = Endpoint("/v1/completions", b'"prompt":%s', _begins)
