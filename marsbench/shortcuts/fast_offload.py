"""vLLM's offloading connector without its loops over what has not changed.

Its scheduler half looks at every request in every step, and at every block of a context whenever
a round is admitted; its manager does so again (`fast_manager.py`). What they decide is the same
here: tests/sim/test_fast_offload.py drives both with the same operations. This is for one group of
full attention, a block a chunk, without KV events, and for the vLLM whose code was read
(`as_read.py`); anything else is left to vLLM.
`SimConfig.fast=False` runs without this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any

from vllm.distributed.kv_transfer.kv_connector.v1.offloading.common import TransferJob
from vllm.distributed.kv_transfer.kv_connector.v1.offloading.metrics import (
    OffloadingConnectorStats,
)
from vllm.distributed.kv_transfer.kv_connector.v1.offloading.scheduler import (
    OffloadingConnectorScheduler,
    RequestOffloadState,
    TransferJobStatus,
)
from vllm.v1.core.single_type_kv_cache_manager import FullAttentionManager
from vllm.v1.request import RequestStatus

from marsbench.shortcuts.as_read import is_as_read
from marsbench.shortcuts.fast_manager import BlockNumbers, FastManager
from marsbench.shortcuts.keys import place_of


class KnownKeys(RequestOffloadState):
    """A request whose keys are known when it comes: those of its prompt and of its whole output."""

    __slots__ = ()

    def update_offload_keys(self) -> None:
        """Nothing: no key is ever added."""


class Positions:
    """Where each key of a context ends, in tokens, as vLLM's dictionary of them.

    A key of the simulator says its place: the four bytes after its writer's.
    """

    __slots__ = ("_size",)

    def __init__(self, size: int) -> None:
        self._size = size

    def get(self, key: bytes) -> int:
        return self._size * (1 + place_of(key))


class Unread(OffloadingConnectorStats):
    """Statistics that nobody takes: they would only grow."""

    def observe_histogram(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def increase_counter(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""


class FastHalf(OffloadingConnectorScheduler):
    """The scheduler half, taken over with its state.

    _handed: blocks that requests were given in this step, as they came. Their numbers are needed
    only while a store may read one of them.
    """

    manager: FastManager
    _handed: list[Any]

    @classmethod
    def takes(cls, half: Any) -> bool:
        """Take vLLM's over, before its first request; False where it is not the case above."""
        config, groups = half.config, half.config.kv_group_configs
        plain = (
            is_as_read()
            and type(half) is OffloadingConnectorScheduler
            and len(groups) == config.blocks_per_chunk == config.num_workers == 1
            and groups[0].sliding_window_size_in_chunks is None
            and not groups[0].is_eagle_group
            and not groups[0].requires_cow_source
            and groups[0].hashes_per_chunk == 1
            and groups[0].manager_cls is FullAttentionManager  # no chunk is out of reach
            and config.offload_prompt_only
            and not config.supports_partial_tail
            and not half._events_tracker.self_describing_enabled
        )
        if not plain or not FastManager.takes(half.manager):
            return False
        half._handed = []
        half._connector_stats = Unread()
        half.__class__ = cls
        return True

    def on_new_request(self, request: Any) -> None:
        super().on_new_request(request)
        know_keys(self, request)

    # --- one thread asks the manager: nobody is locked out

    def _acquire_step(self) -> None:
        """Nothing."""

    def _release_step(self) -> None:
        """Nothing."""

    def _manager_locked(self) -> AbstractContextManager[Any]:
        return nullcontext()

    # --- look-ups

    def _maximal_prefix_lookup(
        self,
        keys: Iterable[Any],
        req_context: Any,
        req: Any,
        group_config: Any,
        start_chunk_idx: int,
    ) -> int | None:
        found, are_ready = self.manager.prefix(list(keys))
        return found if are_ready else None

    # --- what a step hands out

    def update_state_after_alloc(self, request: Any, blocks: Any, num_external_tokens: int) -> None:
        if num_external_tokens:
            super().update_state_after_alloc(request, blocks, num_external_tokens)
        else:
            self._handed.append(blocks.blocks[0])

    def _update_req_states(self, scheduler_output: Any) -> None:
        fresh = []
        states, old = self._req_status, scheduler_output.scheduled_cached_reqs
        for new in scheduler_output.scheduled_new_reqs:
            ids = new.block_ids[0]
            states[new.req_id].group_states[0].block_ids[:] = ids
            fresh.append(ids)
        for request_id in old.resumed_req_ids:
            states[request_id].group_states[0].block_ids.clear()
        for request_id, groups in zip(old.req_ids, old.new_block_ids, strict=False):
            if groups:
                states[request_id].group_states[0].block_ids.extend(groups[0])
                fresh.append(groups[0])
        self._note_handed(fresh, bool(scheduler_output.finished_req_ids))

    def _note_handed(self, fresh: list[list[int]], some_ended: bool) -> None:
        """The numbers of blocks that were handed out, where a store may read one of them."""
        if self._block_id_to_pending_jobs or some_ended:
            ids = self._current_batch_allocated_block_ids
            for blocks in self._handed:
                ids.update([block.block_id for block in blocks])
            ids.update(*fresh)
            ids.discard(0)
        self._handed.clear()

    # --- stores

    def _build_partial_tail_store_jobs(self, scheduler_output: Any) -> dict[int, TransferJob]:
        return {}

    def _build_store_jobs(self, scheduler_output: Any) -> dict[int, TransferJob]:
        made = {}
        for status, keys, ids, num_chunks in self._to_offer(scheduler_output):
            state = status.group_states[0]
            found = self.manager.prepare_store(keys, status.req_context)
            if found is None:
                continue
            if found.keys_to_store:
                number, job = self._store(status, found, keys, ids)
                made[number] = job
            state.next_stored_chunk_idx = num_chunks
        return made

    def _to_offer(self, output: Any) -> Iterator[tuple[Any, list[Any], list[int], int]]:
        """The requests with full blocks of their prompts that have not been offered."""
        scheduled, size = (
            output.num_scheduled_tokens,
            self.config.kv_group_configs[0].tokens_per_chunk,
        )
        for request_id in chain(scheduled, output.finished_req_ids or ()):
            status = self._req_status.get(request_id)
            if status is None:
                continue
            state, request = status.group_states[0], status.req
            first = state.next_stored_chunk_idx
            if (first + 1) * size > request.num_prompt_tokens:
                continue
            if request.is_finished():
                tokens = self._tokens_of_ended(request)
            else:
                tokens = request.num_computed_tokens + scheduled[request_id]
            tokens = self._calc_num_offloadable_tokens(status, tokens)
            last = min(tokens // size, len(state.block_ids), len(state.offload_keys))
            if last > first:
                yield status, state.offload_keys[first:last], state.block_ids[first:last], last

    def _tokens_of_ended(self, request: Any) -> int:
        """Of a request that has ended, those whose KV is sure to be there, as vLLM has it."""
        if request.status is RequestStatus.FINISHED_ABORTED:
            return int(request.num_computed_tokens)
        return int(max(request.num_prompt_tokens, request.num_tokens - 1))

    def _store(
        self, status: Any, found: Any, keys: list[Any], ids: list[int]
    ) -> tuple[int, TransferJob]:
        """The job that copies these of a request's blocks."""
        to_store: Any = found.keys_to_store
        begin, first, last = map(place_of, (keys[0], to_store[0], to_store[-1]))
        blocks = ids[first - begin : last - begin + 1]
        if len(blocks) > len(to_store):
            chosen = set(to_store)
            blocks = [block for key, block in zip(keys, ids, strict=True) if key in chosen]
        number, request_id = self._generate_job_id(), status.req.request_id
        status.transfer_jobs.add(number)
        self._jobs[number] = TransferJobStatus(
            request_id,
            self.config.num_workers,
            to_store,
            is_store=True,
            deferred_fence_block_ids=blocks,
        )
        if status.req.is_finished():
            self._fence(number, blocks)
        return number, TransferJob(request_id, BlockNumbers(blocks), found.store_spec)

    def _fence(self, job: int, blocks: list[int]) -> None:
        """Nobody holds these any more: who gets one of them waits for the copy."""
        for block in blocks:
            self._block_id_to_pending_jobs.setdefault(block, set()).add(job)
        if not self._current_batch_allocated_block_ids.isdisjoint(blocks):
            self._current_batch_jobs_to_flush.add(job)


def know_keys(half: Any, request: Any) -> None:
    """A request's keys, which the simulator knows beforehand."""
    status = half._req_status[request.request_id]
    status.group_states[0].offload_keys.extend(request.block_hashes.keys)
    size = half.config.kv_group_configs[0].tokens_per_chunk
    status.req_context._offload_key_positions = Positions(size)
    status.__class__ = KnownKeys


def install(half: Any) -> None:
    """Take a connector's scheduler half over, before its first request."""
    if FastHalf.takes(half):
        return
    vllms = half.on_new_request

    def on_new_request(request: Any) -> None:
        vllms(request)
        know_keys(half, request)

    half.on_new_request = on_new_request
