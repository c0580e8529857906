"""Who loses blocks: every eviction of vLLM's block pool, with its place among the pops of a step.

The free list is popped from the front only. So the i-th block popped in a macro step is the i-th
that its single steps would have popped, whoever gets it: the place says in which step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class PoolWatch:
    """Wraps `_maybe_evict_cached_block`, which vLLM calls for every block that it hands out."""

    def __init__(self, block_pool: Any) -> None:
        self._evict = block_pool._maybe_evict_cached_block
        block_pool._maybe_evict_cached_block = self._watched
        self._pops = 0
        self._evictions: list[tuple[int, bytes]] = []

    def _watched(self, block: Any) -> bool:
        self._pops += 1
        block_hash = block.block_hash
        if block_hash is None:
            return False
        evicted: bool = self._evict(block)
        if evicted:
            self._evictions.append((self._pops, block_hash))
        return evicted

    def __bool__(self) -> bool:
        return bool(self._evictions)

    def take(self) -> list[tuple[int, bytes]]:
        """(place among the pops, block hash) of each eviction since the last take."""
        taken, self._evictions, self._pops = self._evictions, [], 0
        return taken


def by_step(evictions: list[tuple[int, bytes]], popped: list[int]) -> Iterator[list[bytes]]:
    """The evicted hashes of each step; `popped[j]` counts all pops up to the end of step j."""
    place = 0
    for total in popped:
        begin = place
        while place < len(evictions) and evictions[place][0] <= total:
            place += 1
        yield [block_hash for _, block_hash in evictions[begin:place]]
