"""Holds: references that keep a paused session's KV blocks in the cache through its tool calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Block = Any  # vLLM's KVCacheBlock; this file knows only that the pool counts references to it


@dataclass(slots=True)
class Hold:
    """The blocks of one session, in prompt order, and when the policy is to be asked again."""

    blocks: list[Block]
    until: float


class Holds:
    """All holds of an engine: at most one a session.

    `changed` is told of every begin and end as (session id, blocks or None, until or why).
    """

    def __init__(self, block_pool: Any) -> None:
        self._pool = block_pool
        self._holds: dict[str, Hold] = {}
        self.changed: Callable[[str, int | None, float | str], None] = lambda *_: None

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._holds

    def __iter__(self) -> Iterator[str]:
        return iter(self._holds)

    def __len__(self) -> int:
        return len(self._holds)

    @property
    def next_expiry(self) -> float:
        """The earliest time at which a hold runs out; inf when there is none."""
        return min((h.until for h in self._holds.values()), default=float("inf"))

    def expired(self, now: float) -> list[str]:
        """The sessions whose hold has run out."""
        return [s for s, h in self._holds.items() if h.until <= now]

    def begin(self, session_id: str, blocks: Sequence[Block], until: float) -> None:
        """Take a reference on every block: vLLM's LRU cannot reuse them."""
        blocks = list(blocks)
        self._pool.touch(blocks)
        self._holds[session_id] = Hold(blocks, until)
        self.changed(session_id, len(blocks), until)

    def blocks(self, session_id: str) -> Sequence[Block]:
        """What a session holds, in prompt order."""
        return self._holds[session_id].blocks

    def extend(self, session_id: str, until: float) -> None:
        """Move the time at which the hold runs out."""
        self._holds[session_id].until = until

    def end(self, session_id: str, why: str) -> list[Block]:
        """Give the references back, the tail first, as vLLM frees a request's blocks."""
        hold = self._holds.pop(session_id)
        self._pool.free_blocks(reversed(hold.blocks))
        self.changed(session_id, None, why)
        return hold.blocks

    def num_blocks(self) -> int:
        """Blocks that only holds keep: no running request uses them."""
        blocks = [block for hold in self._holds.values() for block in hold.blocks]
        references = [block.ref_cnt for block in blocks]
        alone = references.count(1)  # most of them: this is asked for at every sample
        if alone == len(blocks):
            return alone
        shared = {block.block_id: n for block, n in zip(blocks, references, strict=True) if n > 1}
        held = Counter(block.block_id for block in blocks if block.block_id in shared)
        return alone + sum(shared[block] == n for block, n in held.items())


def discard(block_pool: Any, blocks: Sequence[Block]) -> list[bytes]:
    """Drop blocks without a user from the prefix cache and put them first in line for reuse.

    Returns the hashes of those dropped. A block that something still uses stays.
    """
    # The class's own method: whoever watches the pool's counts blocks that are popped for reuse.
    evict = type(block_pool)._maybe_evict_cached_block
    front = [b for b in reversed(blocks) if b.ref_cnt == 0 and b.block_hash is not None]
    hashes = [block.block_hash for block in front]
    for block in front:
        evict(block_pool, block)
        block_pool.free_block_queue.remove(block)
    block_pool.free_block_queue.prepend_n(front)
    return hashes
