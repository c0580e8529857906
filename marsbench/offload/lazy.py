"""vLLM's SimpleCPUOffloadConnector, lazy: stored is what the GPU's free list gives up next.

Blocks that are copied leave the GPU's free list until the copy has ended, and then join its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vllm.v1.simple_kv_offload.manager import TransferMeta

from marsbench.offload.link import Copy, Link
from marsbench.offload.modelled import LazyWorker
from marsbench.offload.worker import Offload, StepCopies, Swapped
from marsbench.shortcuts.compiled import loops
from marsbench.shortcuts.fast_lazy import FastLazy
from marsbench.shortcuts.fast_pool import FastBlocks


class LazyOffload(Offload):
    """Plays its worker."""

    worker: LazyWorker

    def __init__(
        self, scheduler: Any, link: Link, clock: Callable[[], float], slow_share: float
    ) -> None:
        self._half = scheduler.connector.scheduler_manager
        super().__init__(scheduler, LazyWorker(self._half, link, clock, slow_share))
        self._pool = self._half.cpu_block_pool
        self._gpu_pool = self._scheduler.kv_cache_manager.block_pool
        self._blocks = FastBlocks(self._pool)

    def quicken(self, compiled: bool) -> None:
        self._blocks.loops = loops(compiled)
        FastLazy.takes(self._half, self._blocks)

    def take_dropped(self) -> Mapping[int, int]:
        dropped = Counter[int]()
        for _, blocks, writer in self._blocks.take_evictions():
            dropped[writer] += blocks
        return dropped

    # --- macro steps

    def may_merge(self) -> bool:
        """Only where its cursor is in the GPU's free list; vLLM's own half, at the end of it."""
        cursor = self._half._cursor
        if cursor is None or cursor.ref_cnt > 0 or self._scheduler.finished_req_ids:
            return False
        if self._may_begin_to_load():
            return False
        is_over = cursor.next_free_block is self._gpu_pool.free_block_queue.fake_free_list_tail
        return (is_over or isinstance(self._half, FastLazy)) and super().may_merge()

    def _may_begin_to_load(self) -> bool:
        """Whether host memory has anything of the request that waits in front.

        As its blocks leave the GPU more of its prompt is to be loaded, which takes fewer blocks
        than computing it: one that did not fit may begin to, in the midst of equal steps.
        """
        waiting = self._scheduler.waiting
        return bool(waiting) and any(map(self._has, waiting.peek_request().block_hashes.keys))

    def rehearse(
        self, pattern: Any, seconds: Sequence[float], now: float, limit: float
    ) -> tuple[list[float], dict[int, StepCopies]]:
        """The cursor goes on in every step; up to one in which it finds what to store."""
        half = self._half
        if not isinstance(half, FastLazy):
            return super().rehearse(pattern, seconds, now, limit)
        tokens = pattern.tokens
        safe = half.safe_steps(len(seconds), sum(tokens.values()), len(tokens))
        ends, copies = super().rehearse(pattern, seconds[:safe], now, limit)
        return ends[: half.walk_on(len(ends))], copies

    def scheduled(self, pattern: Any) -> None:
        self.worker.launched_nothing()

    @property
    def limit(self) -> float:
        return self.link.next_end

    def touch(self, keys: Sequence[bytes]) -> None:
        self._touched.update(keys[:1])  # some have come: whose they are is not asked

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
