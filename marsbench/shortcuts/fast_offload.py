"""vLLM's offloading connector without its loops over what has not changed.

Its scheduler half walks over all hashes of a request in every step, and its LRU sorts all of host
memory anew for every request that ends. What it decides is the same here:
tests/sim/test_fast_offload.py drives both with the same operations. `SimConfig.fast=False` runs
without this file.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from typing import Any

from vllm.distributed.kv_transfer.kv_connector.v1.offloading.scheduler import RequestOffloadState
from vllm.v1.kv_offload.cpu.policies.base import ChunkStatus
from vllm.v1.kv_offload.cpu.policies.lru import LRUCachePolicy

Entry = tuple[tuple[int, int], Any]


class KnownKeys(RequestOffloadState):
    """A request whose keys are known when it comes: those of its prompt and of its whole output."""

    __slots__ = ()

    def update_offload_keys(self) -> None:
        """Nothing: no key is ever added."""


class FastLru(LRUCachePolicy):
    """vLLM's LRU. Ranks that a use gives only grow, so that those keys need no heap.

    _line: (rank, key) in the order of ranks, with entries that are no longer current; `_heap` has
    the others: blocks of requests under way, and those that were pinned when they were used.
    """

    def __init__(self, cache_capacity: int) -> None:
        super().__init__(cache_capacity)
        self._next_rank: int = 0
        self._heap: list[Entry] = []
        self._line: deque[Entry] = deque()

    def _update_recency(self, keys: Any) -> None:
        ranks, chunks, evictable = self._ranks, self.chunks, self._evictable
        rank, line = self._next_rank, self._line
        for key in keys:
            if key in chunks:
                rank += 1
                ranks[key] = own = (rank, 0)
                if key in evictable:
                    line.append((own, key))
        self._next_rank = rank
        if len(line) > 64 + 4 * len(evictable):
            self._line = deque(entry for entry in line if self._is_current(entry))

    def _update_heap(self, updated_evictable: Sequence[Any]) -> None:
        for key in updated_evictable:
            self._push_evictable(key)
        self._maybe_compact_heap()

    def _maybe_compact_heap(self) -> None:
        if len(self._heap) > 64 + 4 * len(self._evictable):
            self._heap = sorted({entry for entry in self._heap if self._is_current(entry)})

    def clear(self) -> None:
        super().clear()
        self._line.clear()

    def evict(self, n: int, protected: set[Any]) -> list[tuple[Any, ChunkStatus]] | None:
        """The n keys of the lowest ranks; None, and nothing changed, where there are fewer."""
        taken: dict[Any, Entry] = {}
        kept: list[Entry] = []
        while len(taken) < n and (entry := self._pop()) is not None:
            key = entry[1]
            if key in taken or not self._is_current(entry):
                continue
            if key in protected:
                kept.append(entry)
            else:
                taken[key] = entry
        if len(taken) < n:
            kept += taken.values()
            taken = {}
        for entry in kept:
            heapq.heappush(self._heap, entry)
        if len(taken) < n:
            return None
        return [(key, self._give_up(key)) for key in taken]

    def _pop(self) -> Entry | None:
        heap, line = self._heap, self._line
        if line and not (heap and heap[0] < line[0]):
            return line.popleft()
        return heapq.heappop(heap) if heap else None

    def _give_up(self, key: Any) -> ChunkStatus:
        self._evictable.remove(key)
        del self._ranks[key]
        return self.chunks.pop(key)


def install(half: Any) -> None:
    """Put both in place of vLLM's in a connector's scheduler half, before its first request."""
    manager = half.manager
    if type(manager._policy) is LRUCachePolicy:
        manager._policy = FastLru(manager._policy.cache_capacity)
    size = half.config.kv_group_configs[0].tokens_per_chunk
    vllms = half.on_new_request

    def on_new_request(request: Any) -> None:
        vllms(request)
        status = half._req_status[request.request_id]
        keys = request.block_hashes.keys
        status.group_states[0].offload_keys.extend(keys)
        positions = range(size, size * len(keys) + 1, size)
        status.req_context._offload_key_positions.update(zip(keys, positions, strict=True))
        status.__class__ = KnownKeys

    half.on_new_request = on_new_request
