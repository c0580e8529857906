"""Macro steps: k steps in which nothing can change are one `schedule()` with k times the budget.

Nothing changes while the same requests decode and the same prefills continue by equal chunks: no
request finishes its prompt or ends (but in the last of the k steps), none is admitted or
preempted, no event is due, no hold runs out, no block is reused that a waiting request would have
found (with host memory) and no policy answer may differ. Then k calls of
`schedule()` allocate the same blocks, in the same order of the free list, as one call in which
every request gets k times its tokens. tests/sim/test_against_vllm.py compares every event.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request, RequestStatus

from marsbench.core.sim.ends import MOST_STEPS
from marsbench.core.sim.evictions import pops
from marsbench.core.sim.loads import LoadsTried
from marsbench.shortcuts.fast_steps import TOKEN, FastSteps
from marsbench.shortcuts.keys import WRITER_BYTES
from marsbench_backends.policy import Policy
from marsbench_backends.scheduler import SimScheduler
from marsbench_backends.vllm.ended import hear_in_order


class MergeMixin(Scheduler):
    """Caps what each running request gets in a macro step; remembers what preemption threw away."""

    merge_caps: dict[str, int] | None = None
    offloads = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lost_tokens: dict[str, int] = {}

    def _preempt_request(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.lost_tokens[request.request_id] = request.num_computed_tokens
        super()._preempt_request(request, *args, **kwargs)

    def _build_kv_connector_meta(self, connector: Any, scheduler_output: Any) -> Any:
        """None in a macro step: its steps were rehearsed with the connector (marsbench/offload)."""
        if self.offloads and self.merge_caps is not None:
            return None
        return super()._build_kv_connector_meta(connector, scheduler_output)

    def _reserve_prefill_lookahead(
        self, request: Request, num_computed_tokens: int, num_new_tokens: int
    ) -> int:
        caps = self.merge_caps
        if caps is not None and request.status == RequestStatus.RUNNING:
            return min(num_new_tokens, caps.get(request.request_id, 0))
        return super()._reserve_prefill_lookahead(request, num_computed_tokens, num_new_tokens)


class StockScheduler(MergeMixin, FastSteps):
    """vLLM's own scheduler: no policy is asked."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.connector is not None:
            hear_in_order(self.connector)  # as the adapter does


class PolicyScheduler(MergeMixin, SimScheduler, FastSteps):
    """The adapter of `marsbench_backends`."""


@dataclass(slots=True)
class Pattern:
    """What one step would give each running request, and for how many steps that can last.

    asked: whose chunk the policy was asked for, and whether it cut it.
    """

    tokens: dict[str, int]
    decodes: list[Request]
    prefills: list[tuple[int, int]]
    decode_kv_tokens: int
    steps: int
    asked: list[tuple[Request, bool]]


class Merger:
    """Predicts the next step from the running list, and schedules several alike as one."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._budget = scheduler.max_num_scheduled_tokens
        self._config = scheduler.scheduler_config
        self._block_size = scheduler.block_size
        self._pool = scheduler.kv_cache_manager.block_pool
        self._asks_policy = isinstance(scheduler, SimScheduler)
        policy = type(scheduler.marsbench_policy) if self._asks_policy else Policy
        self._asks_chunks = policy.chunk is not Policy.chunk
        self._asks_steady = policy.steady_tokens is not Policy.steady_tokens
        self._blocked_head: Request | None = None
        self._loads = None if scheduler.connector is None else LoadsTried(scheduler.connector)

    def forget_head(self) -> None:
        """Blocks were freed or requests ended: the head of the queue may now fit."""
        self._blocked_head = None

    def saw(self, output: Any) -> None:
        """Remember whether this step tried the head of the waiting queue in vain."""
        waiting = self._scheduler.waiting
        tried = output.total_num_scheduled_tokens < self._budget and not output.preempted_req_ids
        self._blocked_head = waiting.peek_request() if waiting and tried else None
        if self._loads is not None:
            self._loads.step_ended()

    def pattern(self) -> Pattern | None:
        """The next step, if it is sure to repeat; None when only a single step is safe."""
        scheduler = self._scheduler
        if not scheduler.running or (self._asks_policy and scheduler.unsettled()):
            return None
        if self._asks_policy:
            scheduler.sort_running()
        found = self._predict()
        if found.steps < 2 or self._write_the_same(found):
            return None
        left = self._budget - sum(found.tokens.values())
        waiting = scheduler.waiting
        if left > 0 and waiting:
            if waiting.peek_request() is not self._blocked_head:
                return None
            if self._loads is not None:
                found.steps = self._steps_before_hits(found, self._loads)
        return found if found.steps > 1 else None

    def _steps_before_hits(self, found: Pattern, loads: LoadsTried) -> int:
        """Steps before one reuses a block that somebody found who waits for room to load others."""
        hits = loads.hits(self._block_size)
        if not hits:
            return found.steps
        requests, tokens = self._scheduler.requests, found.tokens
        before = np.array([requests[i].num_computed_tokens for i in tokens])
        popped = pops(before, np.array(list(tokens.values())), found.steps, self._block_size)
        block = self._pool.free_block_queue.fake_free_list_head.next_free_block
        for number in range(popped[-1]):
            key = block._block_hash
            if key is not None and any(key in hit for hit in hits):
                return bisect_right(popped, number)
            block = block.next_free_block
        return found.steps

    def _predict(self) -> Pattern:
        found = Pattern({}, [], [], 0, MOST_STEPS, [])
        budget, most = self._budget, MOST_STEPS
        for request in self._scheduler.running:
            if budget <= 0:
                break
            left = len(request._all_token_ids) - request.num_computed_tokens
            if left == 1:
                found.decodes.append(request)
                found.decode_kv_tokens += request.num_computed_tokens + 1
                tokens, generated = 1, len(request._output_token_ids)
                # A first token is an event: the last token of a prompt is a step by itself.
                steps = request.max_tokens - generated if generated else 1
            else:
                whole = min(left, budget)
                tokens = self._chunk(request, whole)
                found.asked.append((request, tokens < whole))
                if tokens == 0:
                    continue
                found.prefills.append((tokens, request.num_computed_tokens))
                steps = (left - 1) // tokens
            if self._asks_steady:
                steps = min(steps, self._steady_steps(request, tokens))
            found.tokens[request.request_id] = tokens
            budget -= tokens
            most = min(most, steps)
        found.steps = max(0, min(most, self._fitting_steps(found.tokens)))
        return found

    def _write_the_same(self, found: Pattern) -> bool:
        """Whether two prefills compute one shared prefix: then it matters who is first, block by
        block, and a macro step would let one of them finish all of its blocks before the other.
        """
        if len(found.prefills) < 2:
            return False
        writers = [
            request.block_hashes[request.num_computed_tokens // self._block_size][:WRITER_BYTES]
            for request in self._scheduler.running
            if request.is_prefill_chunk
            and request.num_computed_tokens // self._block_size < len(request.block_hashes)
        ]
        return len(set(writers)) < len(writers)

    def _chunk(self, request: Request, tokens: int) -> int:
        scheduler = self._scheduler
        if not self._asks_chunks:
            return tokens
        chunk: int = scheduler.answers.chunk(scheduler.req(request), tokens)
        return chunk

    def _steady_steps(self, request: Request, tokens: int) -> int:
        scheduler = self._scheduler
        steady = scheduler.answers.steady_tokens(scheduler.req(request))
        return MOST_STEPS if steady == float("inf") else max(1, -(-int(steady) // tokens))

    def _fitting_steps(self, tokens: dict[str, int]) -> int:
        """Steps that the free blocks hold for sure: each request wastes less than one block."""
        if not tokens:
            return 0
        room = self._pool.get_num_free_blocks() - len(tokens)
        return max(0, room) * self._block_size // sum(tokens.values())

    def schedule(self, found: Pattern, steps: int) -> Any:
        """The same as `steps` single calls of `schedule()` that give `found.tokens` each."""
        scheduler, config = self._scheduler, self._config
        budget = config.max_num_batched_tokens
        for request in found.decodes:
            request.append_output_token_ids([TOKEN] * (steps - 1))
        scheduler.max_num_scheduled_tokens = self._budget * steps
        config.max_num_batched_tokens = budget * steps
        scheduler.merge_caps = {i: n * steps for i, n in found.tokens.items()}
        output = scheduler.schedule()
        if self._asks_policy:
            scheduler.asked_chunks(found.asked)
        scheduler.merge_caps = None
        scheduler.max_num_scheduled_tokens = self._budget
        config.max_num_batched_tokens = budget
        given = output.num_scheduled_tokens
        if any(given.get(i) != n * steps for i, n in found.tokens.items()) or len(given) != len(
            found.tokens
        ):
            raise AssertionError(f"a macro step of {steps} was not {found.tokens}: {given}")
        if self._loads is not None:
            self._loads.step_ended()
        return output
