"""What one cache without end would hold, had all replicas shared it: what any of them computed."""

from __future__ import annotations

from marsbench.core.rounds import ComputedTokens
from marsbench.core.session import Prompt
from marsbench.replicas.known import KnownPrefixes
from marsbench.replicas.router import RoundToPlace

_ALL = 0
"""One cache stands for all."""


class ComputedAnywhere:
    """Prompts count from their first token on, a session's own answers from their end."""

    def __init__(self) -> None:
        self._known = KnownPrefixes()
        self._under_way: dict[tuple[str, int], RoundToPlace] = {}

    def findable(self, ask: RoundToPlace, own: ComputedTokens, prompt: Prompt) -> int:
        """Leading tokens of the prompt, in whole blocks, that were computed before, wherever.

        own: what its session computed before. vLLM always computes the last token.
        """
        own.begin(prompt)
        size = ask.block_size
        most = (ask.prompt_tokens - 1) // size
        self._under_way[ask.session, ask.round] = ask
        return max(
            min(most, self._known.matched(ask, _ALL)) * size,
            own.reusable(ask.prompt_tokens, size),
        )

    def first_token(self, key: tuple[str, int]) -> None:
        """The round's prompt has been computed."""
        ask = self._under_way.pop(key, None)
        if ask is not None:
            self._known.learn(ask, _ALL)
