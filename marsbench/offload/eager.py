"""vLLM's OffloadingConnector: every full block of a prompt is stored as soon as its step is over.

Those of generated tokens follow with the prompt that has them (its default, offload_prompt_only).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from vllm.v1.kv_offload.base import ReqContext

from marsbench.offload.link import Copy, Link
from marsbench.offload.modelled import EagerWorker
from marsbench.offload.worker import Offload, StepCopies, Swapped
from marsbench.shortcuts.fast_offload import install
from marsbench.shortcuts.keys import writers

NOBODY = SimpleNamespace(req_ids=(), new_block_ids=(), resumed_req_ids=frozenset())


class EagerOffload(Offload):
    """Plays its worker, and hands the steps inside a macro step to its scheduler half."""

    worker: EagerWorker

    def __init__(
        self, scheduler: Any, link: Link, clock: Callable[[], float], slow_share: float
    ) -> None:
        self._half = scheduler.connector.connector_scheduler
        super().__init__(scheduler, EagerWorker(self._half, link, clock, slow_share))
        self._manager = self._half.manager
        self._placed: dict[str, int] = {}
        self._first_job = 0
        self._num_held = 0
        self._watch_stores()

    def _watch_stores(self) -> None:
        self._prepare_store = self._manager.prepare_store
        self._manager.prepare_store = self._watch_store

    def quicken(self, compiled: bool) -> None:
        del self._manager.prepare_store
        install(self._half)
        self._watch_stores()

    def _watch_store(self, keys: Any, context: Any) -> Any:
        found = self._prepare_store(keys, context)
        if found is not None:
            self._num_held += len(found.keys_to_store) - len(found.evicted_keys)
            self.note_dropped(found.evicted_keys)
            self.touch(found.keys_to_store)
        return found

    # --- macro steps

    def may_merge(self) -> bool:
        """Not while a store reads blocks that nobody holds: popping one of them is waited for."""
        half, scheduler = self._half, self._scheduler
        fenced = half._block_id_to_pending_jobs or scheduler.finished_req_ids
        return not fenced and super().may_merge()

    @property
    def limit(self) -> float:
        return self.next_arrival

    def rehearse(
        self, pattern: Any, seconds: Sequence[float], now: float, limit: float
    ) -> tuple[list[float], dict[int, StepCopies]]:
        """Step by step what vLLM would ask of the connector: only where a block becomes full.

        Stops where host memory changed for a request that waits, whose look-up may then differ.
        """
        only_prompts = self._half.config.offload_prompt_only
        fills = Fills(
            pattern,
            self._scheduler.requests,
            self._block_size,
            only_prompts,
            self._half._req_status,
        )
        self._place_blocks(pattern)
        worker = self.worker
        ends: list[float] = []
        copies: dict[int, StepCopies] = {}
        for step, each in enumerate(seconds):
            full = fills.at(step)
            stored = self._ask(pattern, full, step) if full else ()
            if full:
                fills.asked(full, step)
            worker.submit_stores(now)
            now = worker.end_of(now, each)
            worker.deferred += stored
            ends.append(now)
            changed = self.changed_for_waiting()
            is_last = now >= limit or step + 1 == len(seconds)
            if is_last or changed or self._ends_for_waiting(now):
                break
            self._pass(step, now, copies)
            if fills.are_over and not (worker.deferred or self.link.under_way):
                _let_pass(seconds[step + 1 :], now, limit, ends)
                break
        return ends, copies

    def _ask(self, pattern: Any, full: list[str], step: int) -> Iterable[int]:
        """The jobs of one step, in which blocks of these requests become full."""
        requests, tokens = self._scheduler.requests, pattern.tokens
        for request_id in full:
            _shift(requests[request_id], tokens[request_id] * step)
        output = SimpleNamespace(
            scheduled_new_reqs=(),
            scheduled_cached_reqs=NOBODY,
            num_scheduled_tokens={i: tokens[i] for i in full},
            finished_req_ids=(),
            preempted_req_ids=(),
            kv_cache_block_copies=None,
            kv_connector_block_state=None,
        )
        stored: Iterable[int] = self.connector.build_connector_meta(output).store_jobs
        for request_id in full:
            _shift(requests[request_id], -tokens[request_id] * step)
        return stored

    def _pass(self, step: int, now: float, copies: dict[int, StepCopies]) -> None:
        """The end of a step inside the macro step: what has been copied is told."""
        done, report = self.take_done(now)
        if report is not None:
            self.connector.update_connector_output(report)
        dropped = self.take_dropped()
        if done or dropped:
            copies[step] = StepCopies(dropped, done)

    def _ends_for_waiting(self, now: float) -> bool:
        """Whether a copy that has ended by then may matter to a request that waits."""
        if self.link.next_end > now:
            return False
        waited_for = self.waiting_writers()
        if not waited_for:
            return False
        ended = (copy for copy in self.link.under_way if copy.ends_at <= now)
        return any(not waited_for.isdisjoint(writers(copy.keys)) for copy in ended)

    def _place_blocks(self, pattern: Any) -> None:
        """Room for the ids of blocks that are allocated only afterwards: minus their places."""
        self._first_job, size = self._half._job_counter, self._block_size
        for request_id, tokens in pattern.tokens.items():
            ids = self._half._req_status[request_id].group_states[0].block_ids
            computed = self._scheduler.requests[request_id].num_computed_tokens
            needed = -(-(computed + tokens * pattern.steps) // size)
            self._placed[request_id] = len(ids)
            ids.extend(-place - 1 for place in range(len(ids), needed))

    def scheduled(self, pattern: Any) -> None:
        half = self._half
        half._release_step()  # which `build_connector_meta` would have done
        blocks = self._scheduler.kv_cache_manager.coordinator.single_type_managers[0].req_to_blocks
        for request_id, known in self._placed.items():
            ids = half._req_status[request_id].group_states[0].block_ids
            ids[known:] = [block.block_id for block in blocks[request_id][known:]]
        self._placed.clear()
        for number in range(self._first_job, half._job_counter):
            job = half._jobs.get(number)
            if job is not None:
                own = blocks[job.req_id]
                job.deferred_fence_block_ids = [
                    place if place >= 0 else own[-place - 1].block_id
                    for place in job.deferred_fence_block_ids
                ]

    # --- what the adapter asks

    @property
    def free_blocks(self) -> int:
        manager = self._manager
        return int(manager._get_num_free_chunks() + manager._num_evictable_cache_chunks)

    def _has(self, key: bytes) -> bool:
        chunk = self._manager._policy.get(key)
        return chunk is not None and chunk.is_ready

    def swap_out(self, session_id: str, blocks: Sequence[Any]) -> float:
        manager, keys = self._manager, [block.block_hash for block in blocks]
        context = ReqContext(f"swap:{session_id}")
        for place, key in enumerate(keys, 1):
            context.set_offload_key_position(key, place * self._block_size)
        manager.on_new_request(context)
        counts, manager.counts = manager.counts, None  # a policy that asks need not ask again
        found = manager.prepare_store(keys, context)
        manager.counts = counts
        own = None
        if found is not None and found.keys_to_store:
            stored, now = tuple(found.keys_to_store), self._clock()
            own = self.link.send(Swapped(context), stored, now, now)
        else:
            manager.on_request_finished(context)
        return self._swap_ends_at(keys, own)

    def _swapped(self, copy: Copy) -> None:
        self._manager.complete_store(copy.keys, copy.what.book)
        self._manager.on_request_finished(copy.what.book)

    def host_books(self) -> tuple[int, int, int]:
        return self._manager._get_num_free_chunks(), self._num_held, self._manager._num_chunks


def _shift(request: Any, tokens: int) -> None:
    """The request as it is so many computed tokens later; a decode then has as many more."""
    if request.num_computed_tokens + 1 >= request.num_tokens:
        request._all_token_ids.grow(tokens)
    request.num_computed_tokens += tokens


def _let_pass(seconds: Sequence[float], now: float, limit: float, ends: list[float]) -> None:
    """Steps beside which nothing is copied, up to the first that ends at the limit or later."""
    for each in seconds:
        now += each
        ends.append(now)
        if now >= limit:
            break


class Fills:
    """Whose blocks the connector is to be asked about in each step of a macro step.

    Those that fill a block, and those of which it could not take all that they had, in the order
    of running. last_tokens: of a request that may be stored; its prompt's, or all.
    """

    def __init__(
        self, pattern: Any, requests: Any, block_size: int, only_prompts: bool, states: Any
    ) -> None:
        self._size, self._states = block_size, states
        self._facts: dict[str, tuple[int, int, float]] = {}
        for request_id, tokens in pattern.tokens.items():
            request = requests[request_id]
            last = request.num_prompt_tokens if only_prompts else float("inf")
            self._facts[request_id] = (request.num_computed_tokens, tokens, last)
        self._order = {request_id: place for place, request_id in enumerate(self._facts)}
        self._decodes: dict[int, list[str]] = defaultdict(list)
        self._others: list[str] = []
        for request_id, (computed, tokens, last) in self._facts.items():
            if tokens > 1:
                self._others.append(request_id)
            elif computed < last:
                self._decodes[(-computed - 1) % block_size].append(request_id)
        self._behind = self._left(self._facts, 0)

    @property
    def are_over(self) -> bool:
        """Whether no block is to become full any more."""
        return not (self._decodes or self._others or self._behind)

    def at(self, step: int) -> list[str]:
        """Before the step is asked about."""
        found = self._decodes.get(step % self._size, [])
        more = [i for i in self._others if self._full(i, step + 1) > self._full(i, step)]
        if not (more or self._behind):
            return found
        return sorted({*found, *more, *self._behind}, key=self._order.__getitem__)

    def asked(self, full: list[str], step: int) -> None:
        """The connector has been asked about these."""
        self._behind = self._left(full, step + 1)

    def _full(self, request_id: str, step: int) -> int:
        """Blocks of a request that may be stored, before that step."""
        computed, tokens, last = self._facts[request_id]
        return int(min(computed + tokens * step, last)) // self._size

    def _left(self, request_ids: Iterable[str], step: int) -> list[str]:
        state = self._states
        return [
            i
            for i in request_ids
            if state[i].group_states[0].next_stored_chunk_idx < self._full(i, step)
        ]
