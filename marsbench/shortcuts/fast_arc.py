"""vLLM's ARC of host memory: one dictionary to look a block up in, and moves of whole contexts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from vllm.v1.kv_offload.cpu.policies.arc import ARCCachePolicy
from vllm.v1.kv_offload.cpu.policies.base import ChunkStatus


class FastArc(ARCCachePolicy):
    """Gives up what vLLM's ARC does, in the same order.

    chunks: those of T1 and of T2.
    """

    def __init__(self, cache_capacity: int) -> None:
        super().__init__(cache_capacity)
        self.chunks: dict[Any, Any] = {}

    def clear(self) -> None:
        super().clear()
        self.chunks.clear()

    def get(self, key: Any) -> ChunkStatus | None:
        return self.chunks.get(key)

    def absent(self, keys: list[Any]) -> list[Any]:
        chunks = self.chunks
        return [key for key in keys if key not in chunks]

    def insert_all(self, keys: list[Any], chunks: Iterable[Any], context: Any) -> None:
        """Enter blocks, head to tail."""
        for key, chunk in zip(keys, chunks, strict=True):
            self.chunks[key] = self.t1[key] = chunk
            self.b1.pop(key, None)
            self.b2.pop(key, None)

    def remove(self, key: Any) -> None:
        super().remove(key)
        self.chunks.pop(key, None)

    def evict(self, n: int, protected: Any) -> list[tuple[Any, ChunkStatus]] | None:
        evicted = super().evict(n, protected)
        for key, _ in evicted or ():
            del self.chunks[key]
        return evicted

    def all_evictable(self, keys: set[Any]) -> None:
        """Their stores are done: nothing is written down of it."""

    def finished(
        self, keys: Sequence[Any], stored: set[Any], failed: set[Any], context: Any
    ) -> None:
        """A request has ended that used these, head to tail.

        stored: those that it only stored. failed: those that it neither stored nor found.
        """
        t1, t2 = self.t1, self.t2
        not_used = []
        for key in [key for key in keys if key in t1][::-1]:
            if key in stored:
                t1.move_to_end(key)
            elif key not in failed:
                t2[key] = t1.pop(key)
                continue
            not_used.append(key)
        num = len(keys) - len(not_used)
        if failed:
            keys = [key for key in keys if key not in failed]
        elif list(keys[num:]) == not_used[::-1]:
            keys = keys[:num]
        self._move_to_end_of_t2(keys)

    def _move_to_end_of_t2(self, keys: Sequence[Any]) -> None:
        """Those of these that are in T2, tail first."""
        t2 = self.t2
        try:
            deque(map(t2.move_to_end, reversed(keys)), maxlen=0)
        except KeyError:  # not all are there; moving some of them again gives the same order
            used = [key for key in reversed(keys) if key in t2]
            deque(map(t2.move_to_end, used), maxlen=0)
