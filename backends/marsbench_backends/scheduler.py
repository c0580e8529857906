"""The one file that subclasses vLLM's scheduler: it asks a policy and carries out the answers.

vLLM 0.33.0, unmodified. `schedule()` is never copied: the seams below are overridden or wrapped,
and tests/sim/test_vllm_seams.py names each. What a policy answers is carried out so:

- order of waiting: `self.waiting` is a queue sorted by the policy's key;
- order of running: `self.running` is sorted before each step, if the policy asks for it;
- victim: vLLM's PRIORITY branch preempts the largest `(priority, arrival_time)`, read at that
  moment, so the policy's victim gets priority 1 just before;
- chunk and shrink: `_reserve_prefill_lookahead` is called just before every allocation;
- retain: `_free_blocks` takes references to a paused session's full blocks (a hold);
- reclaim: when `allocate_slots` returns None, holds are given up and it is tried again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vllm.logger import init_logger
from vllm.v1.core.kv_cache_utils import get_block_hash
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.request_queue import SchedulingPolicy
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request, RequestStatus

from marsbench_backends import registry
from marsbench_backends.answers.policy import Answers
from marsbench_backends.answers.wrong import refuse
from marsbench_backends.cost import EngineCost, engine_cost
from marsbench_backends.policies.fcfs import FCFS
from marsbench_backends.policy import Discard, Keep, Paused, Policy, Release, Swap
from marsbench_backends.signals import (
    FirstToken,
    RoundEnded,
    RoundPreempted,
    RoundStarted,
    RoundSubmitted,
    Service,
    SessionEnded,
    Signal,
    StepEnded,
)
from marsbench_backends.vllm.decisions import Decisions
from marsbench_backends.vllm.holds import Holds, discard
from marsbench_backends.vllm.host import HostConnector
from marsbench_backends.vllm.host_memory import HostMemory
from marsbench_backends.vllm.queue import PolicyQueue
from marsbench_backends.vllm.rounds import RoundInfo
from marsbench_backends.vllm.server import ServerMixin
from marsbench_backends.vllm.views import EngineView, VllmReq
from marsbench_backends.vllm.watch import BlockWatch

if TYPE_CHECKING:
    from vllm.v1.core.sched.output import SchedulerOutput

logger = init_logger("vllm." + __name__)  # vLLM configures only its own logger tree


class PolicyMixin(Scheduler):
    """vLLM's scheduler, asking a policy. Parameters come through `--additional-config`:

    {"marsbench": {"backend": "mars", "settings": {"aging_s": 10}}}
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = (self.vllm_config.additional_config or {}).get("marsbench", {})
        backend = registry.load(config.get("backend", "fcfs"))
        self.marsbench_backend = backend.name
        self.marsbench_policy: Policy = backend.build(config.get("settings", {}))[0]
        self.clock: Callable[[], float] = time.monotonic  # noqa: TID251 (a server's clock)
        self.cost: EngineCost = engine_cost(config, self.max_num_scheduled_tokens)
        self.paused: dict[str, Paused] = {}
        self._wire()
        logger.info("marsbench backend %s: %s", backend.name, self.marsbench_policy)

    def _wire(self) -> None:
        manager = self.kv_cache_manager
        self.reqs: dict[str, VllmReq] = {}
        self._req_blocks = manager.coordinator.single_type_managers[0].req_to_blocks
        self.holds = Holds(manager.block_pool)
        self.watch = BlockWatch()
        self.host: HostConnector | None = None
        self._copying: set[str] = set()  # sessions whose blocks are on their way to host memory
        self.view = EngineView(self)
        policy = self.marsbench_policy
        self.answers = Answers(policy, self.marsbench_backend, self.view, refuse)
        self.decisions = Decisions()
        self.waiting = PolicyQueue(self.req, self.answers, self.decisions.looked_at)
        self.vllm_allocate = manager.allocate_slots
        manager.allocate_slots = self._allocate
        if policy.max_running is not None:
            limit = int(self.max_num_active_reqs)
            self.max_num_active_reqs: int = min(limit, policy.max_running)
        self.policy = SchedulingPolicy.PRIORITY  # the branch in which any request can be victim
        self._victim: Request | None = None
        self._dirty = False
        self._known_version = policy.version
        self._resort_at = math.inf
        self._step_began = 0.0
        self._first_tokens: list[VllmReq] = []
        self._preempted_tokens: dict[str, int] = {}
        self._tracks = type(policy) is not FCFS
        self._unused_hit_blocks = 0
        self._listens = type(policy).observe is not Policy.observe
        self._hears_service = type(policy).serve is not Policy.serve
        self._ages = type(policy).changes_at is not Policy.changes_at
        self._chunks = type(policy).chunk is not Policy.chunk
        self._shrinks = type(policy).shrink is not Policy.shrink
        self._retains = type(policy).retain is not Policy.retain

    def model_host_memory(self) -> None:
        """Give the engine the host memory that its policy asks for.

        For the simulator only: on a server nothing would copy the blocks.
        """
        num_blocks = self.marsbench_policy.host_tokens // self.block_size
        if num_blocks:
            memory = HostMemory(num_blocks)
            self.host = HostConnector(memory, self.block_size, self.cost.swap_s, self.clock)
            self.connector = self.host

    def req(self, request: Request) -> VllmReq:
        """The policy's view of a vLLM request."""
        return self.reqs[request.request_id]

    def tell(self, signal: Signal) -> None:
        """Let the policy learn; the engine calls this for what the scheduler cannot see (tools)."""
        if self._listens:
            self.answers.observe(signal)

    # --- requests come

    def add_request(self, request: Request) -> None:
        if request.request_id not in self.requests:
            req = VllmReq(request, self._req_blocks, self.clock())
            self.reqs[request.request_id] = req
            self._mark_paused(req.session_id, returned=True)
            info, now = req.info, req.submitted_at
            future = info.future if self.marsbench_policy.clairvoyant else None
            tokens = request.num_prompt_tokens
            self.tell(RoundSubmitted(now, info.session_id, info.round, tokens, info.parent, future))
        super().add_request(request)
        self._dirty = self._dirty or self._ages

    # --- a step

    def schedule(self, throttle_prefills: bool = False) -> SchedulerOutput:
        self._step_began = now = self.clock()
        self._finish_loads(now)
        self._review_holds(now)
        self._reorder(now)
        self.decisions.step_began(self.view.free_blocks)
        output = super().schedule(throttle_prefills)
        self._count(output)
        self._spare_victim(None)
        if output.preempted_req_ids:
            self._dirty = self._dirty or self._ages
        if self._tracks:
            self._tell_of_starts(output, now)
        return output

    def _count(self, output: SchedulerOutput) -> None:
        """Note what this step's answers came to."""
        reqs, tokens = self.reqs, output.num_scheduled_tokens
        begun = len(output.scheduled_new_reqs) + len(output.scheduled_cached_reqs.resumed_req_ids)
        kept = len(self.running) - begun  # vLLM appends whom it starts
        started = [reqs[request.request_id] for request in self.running[kept:]]
        short = bool(output.preempted_req_ids)
        self.decisions.step_ended(tokens, started, short, self.view.free_blocks)
        if self.marsbench_policy.sorts_running and kept > 1:
            left = output.total_num_scheduled_tokens - sum(tokens[r.request_id] for r in started)
            if short or left >= self.max_num_scheduled_tokens:
                self.decisions.served_in(reqs[r.request_id] for r in self.running[:kept])

    def _reorder(self, now: float) -> None:
        policy = self.marsbench_policy
        if self._dirty or policy.version != self._known_version or now >= self._resort_at:
            self.waiting.resort()
            self._dirty, self._known_version = False, policy.version
            self._resort_at = self.answers.changes_at()
        self.sort_running()

    def sort_running(self) -> None:
        """Put the running requests in the policy's order, as the next step will serve them."""
        if self.marsbench_policy.sorts_running:
            self.answers.sort_running(self.running, self.reqs)

    def _tell_of_starts(self, output: SchedulerOutput, now: float) -> None:
        for request_id in output.preempted_req_ids or ():
            req = self.reqs[request_id]
            computed = self._preempted_tokens.pop(request_id, 0)
            self.tell(RoundPreempted(now, req.session_id, req.round, computed))
        begun = [data.req_id for data in output.scheduled_new_reqs]
        for request_id in (*begun, *output.scheduled_cached_reqs.resumed_req_ids):
            self._tell_of_start(self.reqs[request_id], output, now)

    def _preempt_request(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if self._tracks:
            self._preempted_tokens[request.request_id] = request.num_computed_tokens
        super()._preempt_request(request, *args, **kwargs)

    def _tell_of_start(self, req: VllmReq, output: SchedulerOutput, now: float) -> None:
        if req.session_id in self.holds:
            self.drop_hold(req.session_id, "resumed")
        self.paused.pop(req.session_id, None)
        cached = req.num_computed_tokens - output.num_scheduled_tokens[req.request_id]
        evicted = cached < req.info.reusable_tokens // self.block_size * self.block_size
        waited = now - req.submitted_at
        self.tell(
            RoundStarted(now, req.session_id, req.round, waited, cached, evicted, req.started)
        )
        req.started = True

    def _reserve_prefill_lookahead(
        self, request: Request, num_computed_tokens: int, num_new_tokens: int
    ) -> int:
        if request.num_tokens - num_computed_tokens <= 1:
            return max(0, num_new_tokens)  # a decode is never cut, by vLLM's own rule either
        tokens = super()._reserve_prefill_lookahead(request, num_computed_tokens, num_new_tokens)
        req = self.req(request)
        if self._chunks:
            chunk = self.answers.chunk(req, tokens)
            self.decisions.chunked(req, chunk < tokens)
            tokens = chunk
        if self._shrinks and tokens > 0:
            tokens = self._fit(req, num_computed_tokens, tokens)
        return tokens

    def _fit(self, req: VllmReq, num_computed_tokens: int, tokens: int) -> int:
        """The chunk that the policy wants when the whole one does not fit, holds given up first."""
        while True:
            room = self._room_tokens(req, num_computed_tokens)
            if room >= tokens:
                return tokens
            if not self._reclaim(req):
                chunk = self.answers.shrink(req, tokens, room)
                self.decisions.shrunk(req, req.num_blocks > 0, chunk < tokens)
                return chunk

    def _room_tokens(self, req: VllmReq, num_computed_tokens: int) -> int:
        held = req.num_blocks or num_computed_tokens // self.block_size
        # A waiting request's cached blocks leave the free list when it takes them.
        taken = 0 if req.num_blocks else self._unused_hit_blocks
        free = self.view.free_blocks - taken
        return max(0, (held + free) * self.block_size - num_computed_tokens)

    def _get_local_prefix_cache_hit(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        # 0.32 passes the request alone, 0.33 a length too.
        hit = super()._get_local_prefix_cache_hit(request, *args, **kwargs)
        if self._shrinks:
            self._unused_hit_blocks = sum(b.ref_cnt == 0 for b in hit[0].blocks[0])
        return hit

    # --- memory

    def _allocate(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        blocks = self.vllm_allocate(request, *args, **kwargs)
        while blocks is None and self.holds and self._reclaim(self.req(request)):
            blocks = self.vllm_allocate(request, *args, **kwargs)
        if blocks is None and self._blocks_itself(request):
            self.drop_hold(self.req(request).session_id, "revoked")
            blocks = self.vllm_allocate(request, *args, **kwargs)
        if blocks is None and request.status == RequestStatus.RUNNING:
            victim = self.answers.victim(self.view.running)
            running = (self.reqs[r.request_id] for r in self.running)
            self.decisions.preempts(self.reqs[victim.request_id], running)
            self._spare_victim(self.requests[victim.request_id])
        return blocks

    def _blocks_itself(self, request: Request) -> bool:
        """Whether nothing is left to wait for but the request's own session's hold.

        Its context was cut, so that it needs new blocks; those it still has of it stay cached.
        """
        if self.running or self.holds.next_expiry < math.inf:
            return False
        return self.req(request).session_id in self.holds

    def _spare_victim(self, instead: Request | None) -> None:
        if self._victim is not None:
            self._victim.priority = 0
        if instead is not None:
            instead.priority = 1
        self._victim = instead

    def _reclaim(self, needs: VllmReq) -> bool:
        """Give up one hold for `needs`.

        Where nothing runs and no hold will ever run out, one must yield, or all waits for ever.
        """
        spared = {needs.session_id, *self._copying}  # a copy ends by itself, and soon
        held = [self.paused[s] for s in self.holds if s not in spared]
        if not held:
            return False
        chosen = self.answers.reclaim(held, needs)
        latest = Policy.reclaim(self.marsbench_policy, held, needs, self.view) or ""
        if chosen is None and not self.running and self.holds.next_expiry == math.inf:
            chosen = latest
        if chosen is None:
            return False
        self.decisions.gave_up(chosen, latest)
        self.drop_hold(chosen, "revoked")
        return True

    # --- rounds end, sessions pause

    def update_from_output(self, scheduler_output: Any, model_runner_output: Any) -> Any:
        if self._listens or self._hears_service:
            self._tell_of_service(scheduler_output)
        outputs = super().update_from_output(scheduler_output, model_runner_output)
        for req in self._first_tokens:
            now = self.clock()
            waited = now - req.submitted_at
            self.tell(FirstToken(now, req.session_id, req.round, waited))
        self._first_tokens.clear()
        return outputs

    def _tell_of_service(self, output: SchedulerOutput) -> None:
        reqs, requests = self.reqs, self.requests
        served: list[Service] = []
        for request_id, tokens in output.num_scheduled_tokens.items():
            req = reqs.get(request_id)
            if req is None:
                continue
            request = requests[request_id]
            prefill = request.num_output_tokens == 0
            served.append((req.session_id, tokens, prefill))
            if prefill and not request.is_prefill_chunk:
                self._first_tokens.append(req)
        if self._hears_service:
            now = self.clock()
            self.answers.serve(StepEnded(now, now - self._step_began, served))

    def _free_blocks(self, request: Request) -> None:
        req = self.reqs.pop(request.request_id)
        unwanted: Sequence[Any] = ()
        if request.status == RequestStatus.FINISHED_ABORTED or req.info.is_last:
            self._end_session(req)
        elif self._tracks:
            unwanted = self._pause_session(req, request)
        super()._free_blocks(request)
        self._discard(unwanted)

    def _end_session(self, req: VllmReq | RoundInfo) -> None:
        if req.session_id in self.holds:
            self.drop_hold(req.session_id, "session_ended")
        if self.host is not None:
            self.host.memory.forget(req.session_id)
        self.paused.pop(req.session_id, None)
        self.tell(SessionEnded(self.clock(), req.session_id, req.round + 1))

    def _pause_session(self, req: VllmReq, request: Request) -> Sequence[Any]:
        """Returns the blocks to discard when the request has given them back."""
        now, info = self.clock(), req.info
        tokens, generated = request.num_tokens, request.num_output_tokens
        seconds, tools = now - req.submitted_at, info.tools
        self.tell(RoundEnded(now, info.session_id, info.round, tokens, generated, tools, seconds))
        full = [b for b in self._req_blocks.get(request.request_id, ()) if b.block_hash is not None]
        paused = Paused(info.session_id, info.round, request.num_tokens, len(full), now, info.tools)
        self.paused[info.session_id] = paused
        return self._carry_out(paused, full) if self._retains else ()

    def _carry_out(self, paused: Paused, blocks: Sequence[Any]) -> Sequence[Any]:
        """Ask what happens to a pause's blocks and do it, but for those returned: to be discarded.

        `blocks` are still referenced here, and what is in use cannot be dropped.
        """
        answer = self.answers.retain(paused)
        if not paused.held:
            self.decisions.paused(not isinstance(answer, Release))
        if isinstance(answer, Keep):
            self._hold(paused.session_id, blocks, answer.until)
            return ()
        if isinstance(answer, Swap) and self.host is not None and paused.num_blocks:
            self._copying.add(paused.session_id)
            self._hold(paused.session_id, blocks, self.host.send_out(paused.num_blocks))
            return ()
        dropped = blocks
        if paused.session_id in self.holds:
            dropped = self.drop_hold(paused.session_id, "expired")
        return dropped if isinstance(answer, Discard) else ()

    def _discard(self, blocks: Sequence[Any]) -> None:
        """What a policy discards is evicted: its contents are gone, whoever decided it."""
        if blocks:
            self.watch.discarded(discard(self.kv_cache_manager.block_pool, blocks))
            self._dirty = True  # the free list's order changed: no macro step over it

    def _hold(self, session_id: str, blocks: Sequence[Any], until: float) -> None:
        if session_id in self.holds:
            self.holds.extend(session_id, until)
        elif blocks:
            self.holds.begin(session_id, blocks, until)
            self.decisions.hold_began(session_id, self.view.free_blocks)
        else:
            return
        self._mark_paused(session_id, held=True, held_until=until)

    def _review_holds(self, now: float) -> None:
        for session_id in self.holds.expired(now):
            paused = self.paused[session_id]
            if session_id in self._copying and not paused.returned:
                self._leave_for_host(session_id)
            else:
                self._copying.discard(session_id)
                self._discard(self._carry_out(paused, ()))

    def _leave_for_host(self, session_id: str) -> None:
        """The copy has arrived: the blocks on the GPU are no longer needed."""
        assert self.host is not None
        blocks = self.drop_hold(session_id, "swapped")
        hashes = [get_block_hash(b.block_hash) for b in blocks]
        lost = self.host.memory.store(session_id, hashes)
        left = discard(self.kv_cache_manager.block_pool, blocks)
        self.watch.swapped_out(session_id, len(left))
        for owner, num_blocks in lost.items():
            self.watch.host_evicted(owner, num_blocks)

    def _finish_loads(self, now: float) -> None:
        arrived = None if self.host is None else self.host.take_arrived(now)
        if self.host is None or arrived is None:
            return
        for request_id in sorted(arrived.finished_recving or ()):
            req, load = self.reqs[request_id], self.host.loads[request_id]
            self.watch.swapped_in(req.session_id, req.round, load.host_tokens // self.block_size)
        self._update_from_kv_xfer_finished(arrived)

    def drop_hold(self, session_id: str, why: str) -> list[Any]:
        """Give a hold's blocks back to the LRU."""
        self._copying.discard(session_id)
        blocks = self.holds.end(session_id, why)
        self.decisions.hold_ended(session_id)
        self._mark_paused(session_id, held=False)
        return blocks

    def _mark_paused(self, session_id: str, **facts: Any) -> None:
        paused = self.paused.get(session_id)
        if paused is not None:
            self.paused[session_id] = replace(paused, **facts)
            self._dirty = True  # a key may depend on it

    def unsettled(self) -> bool:
        """Whether the next step asks the policy for an order that the last one did not have."""
        policy = self.marsbench_policy
        return (
            self._dirty
            or policy.version != self._known_version
            or self.clock() >= min(self._resort_at, self.holds.next_expiry)
            or (self.host is not None and self._has_loaded(self.host))
        )

    def _has_loaded(self, host: HostConnector) -> bool:
        """Whether a request waits whose blocks are back, or are back by now."""
        if len(self.kv_holding_waiting) > len(host.loading):
            return True
        return self.clock() >= host.next_arrival

    def next_change(self) -> float:
        """When time alone may change a decision: a hold runs out, or the policy says so."""
        arrival = math.inf if self.host is None else self.host.next_arrival
        return min(self.holds.next_expiry, self.answers.changes_at(), arrival)


class SimScheduler(PolicyMixin):
    """For the simulator, which says of each request which round of which session it is."""

    def asked_chunks(self, asked: Iterable[tuple[Request, bool]]) -> None:
        """The simulator asked for chunks in the scheduler's stead: whose, and which were cut."""
        for request, cut in asked if self._chunks else ():
            self.decisions.chunked(self.req(request), cut)


class MarsbenchScheduler(ServerMixin, PolicyMixin, AsyncScheduler):
    """For `vllm serve --scheduler-cls marsbench_backends.scheduler.MarsbenchScheduler`."""
