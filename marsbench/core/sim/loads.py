"""Rounds that wait for room to load the rest of their context from host memory.

What host memory adds begins where the GPU's own hit ends. If a block of that hit is reused, it may
add nothing: then a first chunk is computed, which has room sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marsbench.shortcuts.keys import place_of


class Hit:
    """The blocks of a context that were found on the GPU; `in` asks for a cached block's key."""

    def __init__(self, keys: Sequence[bytes], num_blocks: int) -> None:
        self._keys = keys
        self._num_blocks = num_blocks

    def __contains__(self, key: bytes) -> bool:
        place = place_of(key)
        return place < self._num_blocks and self._keys[place] == key


class LoadsTried:
    """Watches what vLLM's scheduler asks a connector in each step."""

    def __init__(self, connector: Any) -> None:
        self._vllms = connector.get_num_new_matched_tokens
        connector.get_num_new_matched_tokens = self._asked
        self._now: list[tuple[Any, int]] = []
        self._last: list[tuple[Any, int]] = []

    def _asked(self, request: Any, num_computed_tokens: int) -> tuple[int | None, bool]:
        answer: tuple[int | None, bool] = self._vllms(request, num_computed_tokens)
        if answer[0] != 0:  # None: it cannot say yet
            self._now.append((request, num_computed_tokens))
        return answer

    def step_ended(self) -> None:
        """What is asked from now on is of the next step."""
        self._last, self._now = self._now, []

    def hits(self, block_size: int) -> list[Hit]:
        """Of those in the last step who had something to load, or might have."""
        return [
            Hit(r.block_hashes.keys, tokens // block_size) for r, tokens in self._last if tokens
        ]
