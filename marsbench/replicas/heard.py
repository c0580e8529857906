"""What a router has heard of a replica's KV cache, where its events take a while."""

from __future__ import annotations

from collections import deque
from typing import Any

from marsbench.shortcuts.keys import BlockHashes


class HeardCache:
    """The cached blocks of a replica as they were `delay_s` ago.

    It sits at vLLM's own map from hashes to blocks, so it sees what the engine's events tell: a
    block that is stored, and the last one of its hash that is removed. Faster loops go past that
    map, and a run of equal steps says not when within it; such a replica has neither.
    """

    def __init__(self, pool: Any, clock: Any, delay_s: float) -> None:
        self._delay_s = delay_s
        self._clock = clock
        self._present: set[bytes] = set()
        self._changes: deque[tuple[float, bytes, bool]] = deque()
        index = pool.cached_block_hash_to_block
        self._index, self._insert, self._pop = index, index.insert, index.pop
        index.insert, index.pop = self._stored, self._removed

    def tokens(self, hashes: BlockHashes, prompt_tokens: int, block_size: int, now: float) -> int:
        """Leading tokens of a prompt that were cached then; vLLM always computes the last one."""
        changes = self._changes
        while changes and changes[0][0] + self._delay_s <= now:
            _, key, stored = changes.popleft()
            (self._present.add if stored else self._present.discard)(key)
        most = min(len(hashes), (prompt_tokens - 1) // block_size)
        keys = hashes.keys
        found = next((n for n in range(most) if keys[n] not in self._present), most)
        return found * block_size

    def _stored(self, key: bytes, block: Any) -> None:
        self._insert(key, block)
        self._changes.append((self._clock.now, key, True))

    def _removed(self, key: bytes, block_id: int) -> Any:
        block = self._pop(key, block_id)
        if block is not None and self._index.get_one_block(key) is None:
            self._changes.append((self._clock.now, key, False))
        return block
