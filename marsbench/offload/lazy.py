"""vLLM's SimpleCPUOffloadConnector, lazy: stored is what the GPU's free list gives up next.

Its worker (vllm/v1/simple_kv_offload/worker.py): loads begin when their step is launched, and run
beside it; stores wait until it has been computed. A preemption waits for all copies under way.
Blocks that are copied leave the GPU's free list until the copy has ended, and then join its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vllm.v1.outputs import KVConnectorOutput
from vllm.v1.simple_kv_offload.manager import TransferMeta
from vllm.v1.simple_kv_offload.metadata import SimpleCPUOffloadWorkerMetadata

from marsbench.offload.link import Copy
from marsbench.offload.worker import Offload, Swapped


class LazyOffload(Offload):
    """Plays its worker."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._half = self.connector.scheduler_manager
        self._pool = self._half.cpu_block_pool
        self._gpu_pool = self._scheduler.kv_cache_manager.block_pool
        self._launched = False
        self._evict = self._pool._maybe_evict_cached_block
        self._pool._maybe_evict_cached_block = self._watch_evict

    def _watch_evict(self, block: Any) -> bool:
        key = block.block_hash
        evicted: bool = self._evict(block)
        if evicted:
            self.note_dropped([key])
        return evicted

    # --- what a step does to the link

    def begin(self, meta: Any, now: float) -> float:
        ends = [copy.ends_at for copy in self.link.under_way] if meta.need_flush else []
        begin = max([now, *ends])
        if meta.load_event >= 0:
            self._load(meta, begin, now)
        return begin

    def _load(self, meta: Any, begin: float, now: float) -> None:
        keys = self._keys(self._pool, meta.load_cpu_blocks)
        waiting = meta.load_event_to_reqs[meta.load_event]
        loads = tuple((i, self._num_loaded(i)) for i in waiting)
        copy = self.link.send(meta.load_event, keys, begin, now, loads)
        for request_id in waiting:
            self.loading[request_id] = copy.ends_at

    def launch(self, meta: Any, begin: float, end: float) -> None:
        self._launched = meta.store_event >= 0 or meta.load_event >= 0
        if meta.store_event >= 0:
            keys = self._keys(self._gpu_pool, meta.store_gpu_blocks)
            self.link.send(meta.store_event, keys, end, self._clock())

    def _num_loaded(self, request_id: str) -> int:
        return len(self._half._reqs_to_load[request_id].transfer_meta.gpu_block_ids)

    def _keys(self, pool: Any, block_ids: Iterable[int]) -> tuple[bytes, ...]:
        return tuple(pool.blocks[number].block_hash for number in block_ids)

    @property
    def is_idle(self) -> bool:
        return not self._launched

    def _report(self, done: Sequence[Copy]) -> KVConnectorOutput | None:
        loaded, stored = dict[str, None](), dict[int, int]()
        for copy in done:
            if copy.is_store:
                stored[copy.what] = 1
            else:
                loaded.update(dict.fromkeys(request_id for request_id, _ in copy.loads))
        for request_id in loaded:
            del self.loading[request_id]
        meta = SimpleCPUOffloadWorkerMetadata(completed_store_events=stored) if stored else None
        return KVConnectorOutput(finished_recving=loaded, kv_connector_worker_meta=meta)

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
        changed, self._touched = bool(self._touched) or self._launched, set()
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
