"""vLLM's per-block loops, said faster for the one case that the simulator has.

The scheduler and the KV cache manager are vLLM's own. What dominates a long-context simulation is
not their logic but loops over tens of thousands of block objects (look-up, touch, free, evict,
insert) and the generality that every decode passes through to get its next slot. For one
full-attention group without KV events, metrics or connectors each of these is a few lines, given
here; whatever falls outside that case is handed to vLLM's own method. tests/sim/test_fast_pool.py
drives both with the same operations and compares every block, hash and free list;
`SimConfig.fast=False` runs without this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Any

GROUP = (0).to_bytes(4, "big")  # vLLM keys a cached block by its hash and its KV cache group
RUNNING = {"num_lookahead_tokens": 0}  # how `schedule()` asks for a running request
LOOKUP_CHUNK = 512  # a miss stops the look-up within this many blocks


class FastPool:
    """Replaces the loops of one block pool, and keeps (place among pops, hash) of evictions.

    Those are of blocks that are popped for reuse; what a policy discards or swaps is no pop.
    """

    def __init__(self, manager: Any) -> None:
        pool = manager.block_pool
        self._pool = pool
        self._cache = pool.cached_block_hash_to_block._cache
        self._more_hashes = pool.cached_block_hashes_by_block
        self._free = pool.free_block_queue
        self._block_size = manager.coordinator.block_size
        self._single = manager.coordinator.single_type_managers[0]
        self._max_model_len = manager.max_model_len
        self._wrap = manager.create_kv_cache_blocks
        self._slow_allocate: Callable[..., Any] = manager.allocate_slots
        self._slow_touch = pool.touch
        self._slow_free = pool.free_blocks
        self._slow_insert = pool._insert_block_hash
        self._slow_evict = pool._maybe_evict_cached_block
        self.pops = 0
        self.evictions: list[tuple[int, bytes]] = []
        pool._maybe_evict_cached_block = self._evict

    def install(self, scheduler: Any) -> None:
        """Put the fast loops in place of vLLM's, beneath what the adapter wraps around them."""
        pool, manager = self._pool, scheduler.kv_cache_manager
        pool.get_new_blocks = self.get_new_blocks
        pool.cache_full_blocks = self.cache_full_blocks
        pool.touch = self.touch
        pool.free_blocks = self.free_blocks
        manager.coordinator.find_longest_cache_hit = self.find_longest_cache_hit
        if hasattr(scheduler, "memory"):
            self._slow_allocate = scheduler.memory.vllm_allocate
            scheduler.memory.vllm_allocate = self.allocate_slots
        else:
            manager.allocate_slots = self.allocate_slots
        self._single._get_num_evictable_blocks = count_unused

    def take_evictions(self) -> list[tuple[int, bytes]]:
        """(place among the pops, block hash) of each eviction since the last take."""
        taken, self.evictions, self.pops = self.evictions, [], 0
        return taken

    def _evict(self, block: Any) -> bool:
        """vLLM's own eviction of a block that it pops, watched: the slow path."""
        self.pops += 1
        block_hash = block._block_hash
        evicted: bool = self._slow_evict(block)
        if evicted:
            self.evictions.append((self.pops, block_hash))
        return evicted

    def get_new_blocks(self, num_blocks: int) -> list[Any]:
        """Pop blocks off the free list; each leaves the prefix cache."""
        if num_blocks > self._free.num_free_blocks:
            raise ValueError(f"Cannot get {num_blocks} free blocks from the pool")
        blocks: list[Any] = self._free.popleft_n(num_blocks)
        cache, evictions = self._cache, self.evictions
        for place, block in enumerate(blocks, self.pops + 1):
            block_hash = block._block_hash
            if block_hash is not None:
                if cache.get(block_hash) is block and not self._more_hashes:
                    del cache[block_hash]
                    block._block_hash = block._block_hash_num_tokens = None
                    evictions.append((place, block_hash))
                elif self._slow_evict(block):
                    evictions.append((place, block_hash))
            block.ref_cnt += 1
        self.pops += num_blocks
        return blocks

    def cache_full_blocks(
        self,
        request: Any,
        blocks: Sequence[Any],
        num_cached_blocks: int,
        num_full_blocks: int,
        block_size: int,
        kv_cache_group_id: int,
        block_mask: Any = None,
    ) -> None:
        """Enter full blocks into the prefix cache under their hashes."""
        cache, insert = self._cache, self._slow_insert
        tokens = num_cached_blocks * block_size
        hashes = request.block_hashes[num_cached_blocks:num_full_blocks]
        for block, block_hash in zip(
            blocks[num_cached_blocks:num_full_blocks], hashes, strict=True
        ):
            key = block_hash + GROUP
            tokens += block_size
            if cache.setdefault(key, block) is block and block._block_hash is None:
                block._block_hash = key
                block._block_hash_num_tokens = tokens
            else:  # another block has this hash already: vLLM keeps both
                insert(key, block, num_tokens=tokens)

    def allocate_slots(self, request: Any, num_new_tokens: int, *args: Any, **kwargs: Any) -> Any:
        """Slots for a running request's next tokens; anything else is vLLM's to decide."""
        single, request_id = self._single, request.request_id
        cached = single.num_cached_block.get(request_id)
        if cached is None or args or kwargs != RUNNING:
            return self._slow_allocate(request, num_new_tokens, *args, **kwargs)
        tokens = request.num_computed_tokens + num_new_tokens
        blocks, size = single.req_to_blocks[request_id], self._block_size
        missing = -(-min(tokens, self._max_model_len) // size) - len(blocks)
        new: list[Any] = []
        if missing > 0:
            if missing > self._free.num_free_blocks:
                return None
            new = self.get_new_blocks(missing)
            blocks.extend(new)
        full = min(tokens, request.num_tokens, len(request.block_hashes) * size) // size
        if full > cached:
            self.cache_full_blocks(request, blocks, cached, full, size, 0)
            single.num_cached_block[request_id] = full
        return self._wrap((new,))

    def find_longest_cache_hit(
        self, block_hashes: Sequence[bytes], max_cache_hit_length: int
    ) -> tuple[tuple[list[Any]], int, int]:
        """The cached blocks of the longest cached prefix, and its length in tokens."""
        get, found = self._cache.get, []
        limit = min(len(block_hashes), max_cache_hit_length // self._block_size)
        for begin in range(0, limit, LOOKUP_CHUNK):
            keys = [h + GROUP for h in block_hashes[begin : min(limit, begin + LOOKUP_CHUNK)]]
            blocks = list(map(get, keys))
            if all(blocks):  # a miss is None; comparing blocks with None would call their __eq__
                found += blocks
                continue
            found += takewhile(bool, blocks)
            break
        if dict in set(map(type, found)):  # several blocks under one hash: the first serves
            found = [next(iter(b.values())) if isinstance(b, dict) else b for b in found]
        return (found,), len(found) * self._block_size, 0

    def touch(self, blocks: Sequence[Any]) -> None:
        """Take a reference on each block; unused ones leave the free list."""
        removed = 0
        for block in blocks:
            if block.ref_cnt == 0:
                before, after = block.prev_free_block, block.next_free_block
                before.next_free_block = after
                after.prev_free_block = before
                block.prev_free_block = block.next_free_block = None
                removed += 1
            block.ref_cnt += 1
        self._free.num_free_blocks -= removed

    def free_blocks(self, ordered_blocks: Iterable[Any]) -> None:
        """Give a reference back on each block; those without a user join the free list."""
        last: list[Any] = []
        first: list[Any] = []
        for block in ordered_blocks:
            block.ref_cnt -= 1
            if block.ref_cnt == 0:
                (first if block._block_hash is None else last).append(block)
        self._free.prepend_n(first)
        self._free.append_n(last)


def count_unused(blocks: Sequence[Any]) -> int:
    """How many blocks nobody uses."""
    return [block.ref_cnt for block in blocks].count(0)
