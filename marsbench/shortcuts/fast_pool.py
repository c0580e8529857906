"""vLLM's per-block loops, said faster for the one case that the simulator has.

The scheduler and the KV cache manager are vLLM's own. What dominates a long-context simulation is
not their logic but loops over tens of thousands of block objects (look-up, touch, free, evict,
insert) and the generality that every decode passes through to get its next slot. For one
full-attention group without KV events, metrics or connectors each of these is a few lines, in
`block_loops` or compiled; whatever falls outside that case is handed to vLLM's own method.
tests/sim/test_fast_pool.py drives all three with the same operations and compares every block,
hash and free list; `SimConfig.fast=False` runs without this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from marsbench.shortcuts.block_loops import Run, note
from marsbench.shortcuts.compiled import loops
from marsbench.shortcuts.keys import BlockHashes

RUNNING = {"num_lookahead_tokens": 0}  # how `schedule()` asks for a running request


class FastBlocks:
    """The loops of one block pool, of the GPU or of host memory; keeps its evictions as runs.

    Those are of blocks that are popped for reuse; what a policy discards or swaps is no pop.
    """

    def __init__(self, pool: Any, compiled: bool = True) -> None:
        self.loops = loops(compiled)
        self.cache = pool.cached_block_hash_to_block._cache
        self._pool = pool
        self._more_hashes = pool.cached_block_hashes_by_block
        self._free = pool.free_block_queue
        self._slow_insert: Callable[[bytes, Any, int], None] = lambda key, block, tokens: (
            pool._insert_block_hash(key, block, num_tokens=tokens)
        )
        self._slow_evict = pool._maybe_evict_cached_block
        self.pops = 0
        self.evictions: list[Run] = []
        pool._maybe_evict_cached_block = self._evict

    def replace(self) -> None:
        """Put them in place of vLLM's."""
        pool = self._pool
        pool.get_new_blocks = self.get_new_blocks
        pool.touch = self.touch
        pool.free_blocks = self.free_blocks

    @property
    def num_free(self) -> int:
        return int(self._free.num_free_blocks)

    def take_evictions(self) -> list[Run]:
        """The runs of evictions since the last take; a place is one among the pops since then."""
        taken, self.evictions, self.pops = self.evictions, [], 0
        return taken

    def _evict(self, block: Any) -> bool:
        """vLLM's own eviction of a block that it pops, watched: the slow path."""
        self.pops += 1
        key = block._block_hash
        evicted: bool = self._slow_evict(block)
        if evicted:
            note(self.evictions, self.pops, key)
        return evicted

    def get_new_blocks(self, num_blocks: int) -> list[Any]:
        """Pop blocks off the free list; each leaves the prefix cache."""
        free = self._free
        if num_blocks > free.num_free_blocks:
            raise ValueError(f"Cannot get {num_blocks} free blocks from the pool")
        if num_blocks == 0:
            return []
        blocks: list[Any] = self.loops.pop(
            free.fake_free_list_head,
            num_blocks,
            self.cache,
            not self._more_hashes,
            self.pops,
            self._slow_evict,
            self.evictions,
        )
        free.num_free_blocks -= num_blocks
        self.pops += num_blocks
        return blocks

    def enter(self, key: bytes, block: Any, tokens: int) -> None:
        """A block that holds nothing has this key's contents now."""
        if self.cache.setdefault(key, block) is block:
            block._block_hash, block._block_hash_num_tokens = key, tokens
        else:  # another block has this hash already: vLLM keeps both
            self._slow_insert(key, block, tokens)

    def touch(self, blocks: Sequence[Any]) -> None:
        """Take a reference on each block; unused ones leave the free list."""
        self._free.num_free_blocks -= self.loops.touch(blocks)

    def free_blocks(self, ordered_blocks: Iterable[Any]) -> None:
        """Give a reference back on each block; those without a user join the free list."""
        free = self._free
        free.num_free_blocks += self.loops.give_back(
            ordered_blocks, free.fake_free_list_head, free.fake_free_list_tail
        )


class FastPool(FastBlocks):
    """Those of the GPU's pool, with what its manager does around them."""

    def __init__(self, manager: Any, compiled: bool = True) -> None:
        super().__init__(manager.block_pool, compiled)
        self._block_size = manager.coordinator.block_size
        self._single = manager.coordinator.single_type_managers[0]
        self._max_model_len = manager.max_model_len
        self._wrap = manager.create_kv_cache_blocks
        self._nothing = manager.empty_kv_cache_blocks
        self._slow_allocate: Callable[..., Any] = manager.allocate_slots

    def install(self, scheduler: Any) -> None:
        """Put the fast loops in place of vLLM's, beneath what the adapter wraps around them."""
        self.replace()
        eviction = getattr(scheduler, "eviction", None)
        if eviction is not None:  # a policy orders the free list: it moves what these put there
            eviction.vllm_free, self._pool.free_blocks = self.free_blocks, eviction.free
        manager = scheduler.kv_cache_manager
        self._pool.cache_full_blocks = self.cache_full_blocks
        manager.coordinator.find_longest_cache_hit = self.find_longest_cache_hit
        if hasattr(scheduler, "memory"):
            self._slow_allocate = scheduler.memory.vllm_allocate
            scheduler.memory.vllm_allocate = self.allocate_slots
        else:
            manager.allocate_slots = self.allocate_slots
        self._single._get_num_evictable_blocks = self.loops.count_unused

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
        self.loops.insert(
            self.cache,
            blocks,
            request.block_hashes.keys,
            num_cached_blocks,
            num_full_blocks,
            block_size,
            self._slow_insert,
        )

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
        if tokens >= (cached + 1) * size:  # else no block becomes full
            full = min(tokens, request.num_tokens, len(request.block_hashes) * size) // size
            if full > cached:
                self.cache_full_blocks(request, blocks, cached, full, size, 0)
                single.num_cached_block[request_id] = full
        return self._wrap((new,)) if new else self._nothing

    def find_longest_cache_hit(
        self, block_hashes: BlockHashes, max_cache_hit_length: int
    ) -> tuple[tuple[list[Any]], int, int]:
        """The cached blocks of the longest cached prefix, and its length in tokens."""
        limit = min(len(block_hashes), max_cache_hit_length // self._block_size)
        blocks = self.loops.lookup(self.cache, block_hashes.keys, limit)
        return (blocks,), len(blocks) * self._block_size, 0
