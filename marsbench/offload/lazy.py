"""vLLM's SimpleCPUOffloadConnector, lazy: stored is what the GPU's free list gives up next.

Blocks that are copied leave the GPU's free list until the copy has ended, and then join its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vllm.v1.simple_kv_offload.manager import TransferMeta

from marsbench.offload.link import Copy, Link
from marsbench.offload.modelled import LazyWorker
from marsbench.offload.worker import Offload, Swapped


class LazyOffload(Offload):
    """Plays its worker."""

    def __init__(
        self, scheduler: Any, link: Link, clock: Callable[[], float], slow_share: float
    ) -> None:
        self._half = scheduler.connector.scheduler_manager
        super().__init__(scheduler, LazyWorker(self._half, link, clock, slow_share))
        self._pool = self._half.cpu_block_pool
        self._gpu_pool = self._scheduler.kv_cache_manager.block_pool
        self._evict = self._pool._maybe_evict_cached_block
        self._pool._maybe_evict_cached_block = self._watch_evict

    def _watch_evict(self, block: Any) -> bool:
        key = block.block_hash
        evicted: bool = self._evict(block)
        if evicted:
            self.note_dropped([key])
        return evicted

    # --- macro steps

    def may_merge(self) -> bool:
        """Only where its cursor stands at the end of the GPU's free list, and finds nothing."""
        cursor, free = self._half._cursor, self._gpu_pool.free_block_queue
        if cursor is None or cursor.ref_cnt > 0 or self._scheduler.finished_req_ids:
            return False
        return cursor.next_free_block is free.fake_free_list_tail and super().may_merge()

    @property
    def limit(self) -> float:
        return self.link.next_end

    def changed_for_waiting(self) -> bool:
        """Whether any copy has begun or ended: each changes the free list as well."""
        changed, self._touched = bool(self._touched) or not self.worker.is_idle, set()
        return changed

    # --- what the adapter asks

    @property
    def free_blocks(self) -> int:
        return int(self._pool.get_num_free_blocks())

    def _has(self, key: bytes) -> bool:
        return self._pool.cached_block_hash_to_block.get_one_block(key) is not None

    def swap_out(self, session_id: str, blocks: Sequence[Any]) -> float:
        lacking = [block for block in blocks if not self._has(block.block_hash)]
        # What is copied already, and what does not fit, is left out; heads go first.
        under_way = {key for copy in self.link.under_way for key in copy.keys if copy.is_store}
        lacking = [block for block in lacking if block.block_hash not in under_way]
        lacking = lacking[: self.free_blocks]
        own = None
        if lacking:
            host = self._pool.get_new_blocks(len(lacking))
            self._gpu_pool.touch(lacking)
            book = TransferMeta([b.block_id for b in lacking], [b.block_id for b in host])
            now, keys = self._clock(), tuple(block.block_hash for block in lacking)
            own = self.link.send(Swapped(book), keys, now, now)
        return self._swap_ends_at([block.block_hash for block in blocks], own)

    def _swapped(self, copy: Copy) -> None:
        book = copy.what.book
        self._half._process_store_completion(book.gpu_block_ids, book.cpu_block_ids)

    # --- books

    def gpu_blocks_in_transfer(self) -> set[int]:
        stores = list(self._half._store_event_to_blocks.values())
        stores += [c.what.book for c in self.link.under_way if isinstance(c.what, Swapped)]
        return {number for store in stores for number in store.gpu_block_ids}

    def host_books(self) -> tuple[int, int, int]:
        blocks = [block for block in self._pool.blocks if not block.is_null]
        free = self._pool.get_num_free_blocks()
        return free, sum(block.ref_cnt > 0 for block in blocks), len(blocks)
