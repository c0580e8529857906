"""Host memory as a second tier for KV: what it holds, and when the link to it is free.

A swapped session's blocks are known by their hashes, as in vLLM's prefix cache. Copies overlap
with computing (their own engine on the GPU); the link carries one copy at a time each way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence


class HostMemory:
    """At most `capacity` blocks; the least recently stored leave first.

    A block is in one place: when it is loaded it leaves host memory, as with vLLM's and
    InferCept's swapping.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._owner: dict[bytes, str] = {}
        self._hashes: dict[str, set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._owner)

    @property
    def free_blocks(self) -> int:
        return self.capacity - len(self._owner)

    def store(self, session_id: str, hashes: Sequence[bytes]) -> Counter[str]:
        """Take in a session's blocks, given in prompt order.

        The tail is stored first, so that it also leaves first: a prefix without its head is of
        no use. Returns how many blocks of which session found no room any more.
        """
        kept = hashes[: self.capacity]
        for block_hash in reversed(kept):
            self._drop(block_hash)
            self._owner[block_hash] = session_id
            self._hashes.setdefault(session_id, set()).add(block_hash)
        lost = Counter({session_id: len(hashes) - len(kept)})
        while len(self._owner) > self.capacity:
            oldest, owner = next(iter(self._owner.items()))
            self._drop(oldest)
            lost[owner] += 1
        return +lost

    def matches(self, hashes: Iterable[bytes]) -> int:
        """How many of these blocks, from the first on and without a gap, are here."""
        found = 0
        for block_hash in hashes:
            if block_hash not in self._owner:
                break
            found += 1
        return found

    def take(self, hashes: Iterable[bytes]) -> None:
        """These blocks have gone back to the GPU."""
        for block_hash in hashes:
            self._drop(block_hash)

    def forget(self, session_id: str) -> None:
        """The session has ended."""
        for block_hash in tuple(self._hashes.get(session_id, ())):
            self._drop(block_hash)

    def _drop(self, block_hash: bytes) -> None:
        owner = self._owner.pop(block_hash, None)
        if owner is not None:
            mine = self._hashes[owner]
            mine.discard(block_hash)
            if not mine:
                del self._hashes[owner]


class Lane:
    """One direction of the link: copies queue."""

    def __init__(self) -> None:
        self.free_at = 0.0

    def send(self, now: float, seconds: float) -> float:
        """When a copy of that many seconds, asked for now, has arrived."""
        self.free_at = max(now, self.free_at) + seconds
        return self.free_at
