"""What the emulated model says: tokens that follow from the prompt, or those of a script.

A reply depends on the prompt and nothing else, as a model's greedy reply does, so that two servers
that are sent the same say the same.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from marsbench.serve.model_folder import END_OF_TURN, LETTERS

UNASKED_TOKENS = 512
"""A reply to a request that set no limit ends after so many tokens, by the end-of-turn token."""


@dataclass(frozen=True, slots=True)
class ScriptedRequest:
    """A request as a script sees it.

    facts: what the client sent as `vllm_xargs`. The session's id is among them only if the client
        put it there: vLLM tells the executor nothing of `session_id`.
    """

    request_id: str
    prompt: Sequence[int]
    max_tokens: int
    facts: Mapping[str, Any]


class Script(Protocol):
    """Replies from elsewhere, named by `additional_config["marsbench"]["responses"]`."""

    def tokens(self, asked: ScriptedRequest) -> Sequence[int] | None:
        """The whole reply, its end-of-turn token included; None leaves it to the emulation."""
        ...


def load_script(target: str | None) -> Script | None:
    """An instance of the class at `module:Class`."""
    if target is None:
        return None
    module, _, name = target.partition(":")
    script: Script = getattr(importlib.import_module(module), name)()
    return script


class Reply:
    """The tokens of one request's reply, by position."""

    def __init__(self, asked: ScriptedRequest, given: Sequence[int] | None, limited: bool) -> None:
        tail = asked.prompt[-64:]
        self._seed = zlib.crc32(repr(list(tail)).encode(), len(asked.prompt))
        self._given = given
        self._limited = limited

    def token(self, position: int) -> int:
        """The token at that place of the reply; beyond a script's last one, end of turn."""
        if self._given is not None:
            return self._given[position] if position < len(self._given) else END_OF_TURN
        if not self._limited and position >= UNASKED_TOKENS:
            return END_OF_TURN
        return LETTERS[zlib.crc32(position.to_bytes(4, "little"), self._seed) % len(LETTERS)]
