"""vLLM's lazy offloading without its loops over blocks in Python.

Its scheduler half walks behind a cursor through the GPU's free list in every step, and looks up a
whole context in host memory whenever a round is tried. What it decides is the same here:
tests/sim/test_fast_lazy.py drives both with the same operations. This is for one group of full
attention without KV events, and for the vLLM whose code was read (`as_read.py`); anything else is
left to vLLM. `SimConfig.fast=False` runs without this file.
"""

from __future__ import annotations

from typing import Any

from vllm.v1.core.single_type_kv_cache_manager import FullAttentionManager
from vllm.v1.simple_kv_offload.manager import SimpleCPUOffloadScheduler

from marsbench.shortcuts.as_read import is_lazy_as_read
from marsbench.shortcuts.fast_pool import FastBlocks


class FastLazy(SimpleCPUOffloadScheduler):
    """The scheduler half, taken over with its state. _blocks: host memory's; _loops: over them."""

    _blocks: FastBlocks
    _cursor: Any
    _loops: Any

    @classmethod
    def takes(cls, half: Any, blocks: FastBlocks) -> bool:
        """Take vLLM's over, before its first request; False where it is not the case above."""
        managers = half.cpu_coordinator.single_type_managers
        plain = (
            is_lazy_as_read()
            and type(half) is SimpleCPUOffloadScheduler
            and half._lazy_mode
            and [type(manager) for manager in managers] == [FullAttentionManager]
            and half.block_size == half.hash_block_size == half.fa_block_size
            and not half.enable_kv_cache_events
            and half.vllm_config.speculative_config is None
            and half._expected_worker_count == half.cp_world_size == 1
        )
        if plain:
            half._blocks, half._loops = blocks, blocks.loops
            half.__class__ = cls
            blocks.replace()
        return plain

    # --- loads

    def get_num_new_matched_tokens(
        self, request: Any, num_computed_tokens: int
    ) -> tuple[int | None, bool]:
        if stale := self._pending_cpu_hits.pop(request.request_id, None):
            self._free_pending_cpu_hit(stale)
        size, hashes = self.block_size, request.block_hashes
        if request.skip_reading_prefix_cache or num_computed_tokens % size:
            return super().get_num_new_matched_tokens(request, num_computed_tokens)
        first = num_computed_tokens // size
        last = min(len(hashes), (request.num_tokens - 1) // size)
        if last <= first:
            return 0, False
        found = self._loops.lookup(self._blocks.cache, hashes.keys[first:last], last - first)
        if not found:
            return 0, False
        self.cpu_block_pool.touch(found)
        tokens = size * len(found)
        self._pending_cpu_hits[request.request_id] = ((found,), tokens, num_computed_tokens)
        return tokens, True

    def update_state_after_alloc(self, request: Any, blocks: Any, num_external_tokens: int) -> None:
        if num_external_tokens or request.request_id in self._pending_cpu_hits:
            super().update_state_after_alloc(request, blocks, num_external_tokens)

    # --- stores

    def _prepare_lazy_store_specs(self) -> tuple[list[int], list[int], list[str], None]:
        pool = self._gpu_block_pool
        assert pool is not None
        cursor = self._cursor
        if cursor is not None and cursor.ref_cnt > 0:
            cursor = None
        last, visited, found = self._scan(cursor, self._target_free, self._blocks.num_free)
        self._cursor = last if visited else cursor
        if not found:
            return [], [], [], None
        host = self.cpu_block_pool.get_new_blocks(len(found))
        pool.touch(found)
        return [b.block_id for b in found], [b.block_id for b in host], [], None

    @property
    def _queue(self) -> Any:
        """The GPU's free list."""
        assert self._gpu_block_pool is not None
        return self._gpu_block_pool.free_block_queue

    def _scan(self, cursor: Any, count: int, most: int) -> tuple[Any, int, list[Any]]:
        queue = self._queue
        behind = queue.fake_free_list_head if cursor is None else cursor
        found: tuple[Any, int, list[Any]] = self._loops.scan(
            behind, queue.fake_free_list_tail, count, most, self._blocks.cache
        )
        return found

    # --- macro steps

    def safe_steps(self, most: int, num_tokens: int, num_requests: int) -> int:
        """Of so many steps alike, the first ones in which the cursor stays in the free list.

        num_tokens: of all requests in one step. What leaves the list meanwhile are blocks at its
        front, at most one a request more than its tokens fill.
        """
        size, head = self.block_size, self._queue.fake_free_list_head
        num_pops = most * num_tokens // size + num_requests
        before = self._loops.before(self._cursor, head, num_pops)
        if before < num_pops:
            most = max(0, before - num_requests) * size // num_tokens
        return most

    def walk_on(self, steps: int) -> int:
        """Of so many of those, the first ones in which the walk finds nothing to store: walked."""
        each = self._target_free
        if not steps or not self._blocks.num_free:
            return steps
        last, visited, found = self._scan(self._cursor, steps * each, 1)
        if found:
            steps = (visited - 1) // each
            last, visited, _ = self._scan(self._cursor, steps * each, 1)
        self._cursor = last if visited else self._cursor
        return steps

    def _process_store_completion(
        self, gpu_block_ids: list[int], cpu_block_ids: list[int], block_meta: Any = None
    ) -> None:
        pool = self._gpu_block_pool
        assert pool is not None
        if pool.cached_block_hashes_by_block:
            super()._process_store_completion(gpu_block_ids, cpu_block_ids, block_meta)
            return
        copied = [pool.blocks[number] for number in gpu_block_ids]
        kept = [self.cpu_block_pool.blocks[number] for number in cpu_block_ids]
        for source, block in zip(copied, kept, strict=True):
            self._blocks.enter(source._block_hash, block, source._block_hash_num_tokens)
        self.cpu_block_pool.free_blocks(kept)
        pool.free_blocks(copied)
