"""The one class that overrides vLLM's scheduler: it asks a policy and has the answers carried out.

vLLM 0.33.0, unmodified. `schedule()` is never copied: the seams below are overridden or wrapped,
and tests/sim/test_vllm_seams.py names each. What a policy answers is carried out so:

- order of waiting: `self.waiting` is a queue sorted by the policy's key (queue.py);
- order of running: `self.running` is sorted before each step, if the policy asks for it;
- victim: vLLM's PRIORITY branch preempts the largest `(priority, arrival_time)`, read at that
  moment, so the policy's victim gets priority 1 just before (memory.py);
- yields: `_preempt_request` before a step, as `reset_prefix_cache` does it; vLLM tells the worker;
- chunk and shrink: `_reserve_prefill_lookahead` is called just before every allocation (memory.py);
- retain: `_free_blocks` takes references to a paused session's full blocks, a hold (pauses.py);
- eviction_order: blocks move within vLLM's free list, where a policy ranks them (eviction.py);
- reclaim: when `allocate_slots` returns None, holds are given up and it is tried again (memory.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vllm.logger import init_logger
from vllm.v1.core.sched.request_queue import SchedulingPolicy
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request, RequestStatus

from marsbench_backends import registry
from marsbench_backends.answers.policy import Answers
from marsbench_backends.answers.wrong import Told, refuse
from marsbench_backends.cost import EngineCost, engine_cost
from marsbench_backends.policy import Policy
from marsbench_backends.registry import BuiltBackend
from marsbench_backends.signals import EngineStarted, SessionEnded, Signal
from marsbench_backends.vllm.decisions import Decisions
from marsbench_backends.vllm.ended import hear_in_order
from marsbench_backends.vllm.eviction import EvictionOrder
from marsbench_backends.vllm.host import HostConnector
from marsbench_backends.vllm.host_memory import HostMemory
from marsbench_backends.vllm.memory import BlockAllocator
from marsbench_backends.vllm.notices import Notices
from marsbench_backends.vllm.pauses import Pauses
from marsbench_backends.vllm.queue import PolicyQueue
from marsbench_backends.vllm.rounds import RoundInfo
from marsbench_backends.vllm.starts import started
from marsbench_backends.vllm.tier import HostTier
from marsbench_backends.vllm.views import EngineView, PrefixCache, VllmReq
from marsbench_backends.vllm.watch import BlockWatch

if TYPE_CHECKING:
    from vllm.v1.core.sched.output import SchedulerOutput

MOST_RUNNING = ("max_num_active_reqs", "max_num_running_reqs")
"""What bounds the requests that run, since vLLM 0.32 and before."""

logger = init_logger("vllm." + __name__)  # vLLM configures only its own logger tree


def own_config(vllm_config: Any) -> dict[str, Any]:
    """What `--additional-config` says to us: {"marsbench": {…}}."""
    found: dict[str, Any] = (vllm_config.additional_config or {}).get("marsbench", {})
    return found


class PolicyMixin(Scheduler):
    """vLLM's scheduler, asking a policy.

    backend: built for this engine alone; left out, it is built as `--additional-config` says:
        {"marsbench": {"backend": "mars", "settings": {"aging_s": 10}}}
    clock: in seconds. cost: left out, it is read there too. watch: hears of blocks that move.
    models_host_memory: for the simulator only; on a server nothing would copy the blocks.
    tier: makes what stands for vLLM's own host memory, where the engine has a connector to it.
    """

    connector: Any  # to host memory: vLLM's own, or ours

    def __init__(
        self,
        *args: Any,
        backend: BuiltBackend | None = None,
        clock: Callable[[], float] = time.monotonic,  # noqa: TID251 (a server's clock)
        cost: EngineCost | None = None,
        watch: BlockWatch | None = None,
        models_host_memory: bool = False,
        tier: Callable[[Any], HostTier] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        config = own_config(self.vllm_config)
        if backend is None:
            named = registry.load(config.get("backend", "fcfs"))
            backend = named.build(config.get("settings", {}))
        cost = cost or engine_cost(config, self.max_num_scheduled_tokens)
        self.marsbench_policy: Policy = backend.policy
        self.reqs: dict[str, VllmReq] = {}
        self.watch = watch or BlockWatch()
        if self.connector is not None:
            hear_in_order(self.connector)
        self.host: HostTier | None = None
        if tier is not None:
            self.host = tier(self)
        elif models_host_memory:
            self.host = self.connector = self._host(cost, clock)
        self._wire(backend, clock, cost)
        logger.info("marsbench backend %s: %s", backend.name, backend.policy)

    def _host(self, cost: EngineCost, clock: Callable[[], float]) -> HostConnector | None:
        """The host memory that the policy asks for."""
        num_blocks = self.marsbench_policy.host_tokens // self.block_size
        if not num_blocks:
            return None
        return HostConnector(HostMemory(num_blocks), self.block_size, cost.swap_s, clock)

    def _wire(self, backend: BuiltBackend, clock: Callable[[], float], cost: EngineCost) -> None:
        manager, policy, reqs, host = self.kv_cache_manager, backend.policy, self.reqs, self.host
        pool, sizes = manager.block_pool, (self.block_size, self.max_num_scheduled_tokens)
        self._cache = PrefixCache(manager)
        self.view = EngineView(self, pool, *sizes, reqs, clock, cost, host)
        self.answers = answers = Answers(policy, backend.name, self.view, self._told())
        self.decisions = decisions = Decisions()
        self.notices = Notices(answers, reqs)
        self._asks_yields, self._num_yielded = answers.overrides("yields"), 0
        self.waiting = PolicyQueue(reqs, answers, decisions.looked_at)
        paused = (self.view.paused, answers, decisions, self.waiting)
        self.pauses = Pauses(*paused, pool, host, self.watch)
        own = (answers, decisions, self.pauses, self, reqs)
        self.eviction: EvictionOrder | None = None
        if answers.overrides("eviction_order"):
            self.eviction = EvictionOrder(pool, answers, decisions)
        self.memory = BlockAllocator(*own, manager.allocate_slots)
        manager.allocate_slots = self.memory.allocate
        self.policy = SchedulingPolicy.PRIORITY  # the branch in which any request can be victim
        if policy.max_running is not None:
            name = next(name for name in MOST_RUNNING if hasattr(self, name))
            setattr(self, name, min(int(getattr(self, name)), policy.max_running))
        self.tell(EngineStarted(clock(), "", self.view.num_blocks, self.block_size))

    def _told(self) -> Told:
        """Who hears of an answer that cannot be carried out."""
        return refuse

    def req(self, request: Request) -> VllmReq:
        """The policy's view of a vLLM request."""
        return self.reqs[request.request_id]

    def tell(self, signal: Signal) -> None:
        """Let the policy learn; the engine calls this for what the scheduler cannot see (tools)."""
        self.notices.tell(signal)

    # --- a round comes and ends

    def add_request(self, request: Request) -> None:
        if request.request_id not in self.requests:
            req = VllmReq(request, self._cache, self.view.now)
            self.reqs[request.request_id] = req
            self.pauses.returned(req.session_id)
            self.notices.submitted(req)
        super().add_request(request)
        self.waiting.joined()

    def _free_blocks(self, request: Request) -> None:
        req = self.reqs.pop(request.request_id)
        unwanted: list[Any] = []
        self._rank(req)
        if request.status == RequestStatus.FINISHED_ABORTED or req.info.is_last:
            self.end_session(req)
        elif self.notices.tracks:
            now, blocks = self.view.now, self._cache.req_blocks.get(request.request_id, ())
            self.notices.ended(req, request, now)
            self.view.contexts[req.session_id] = (request.block_hashes, request.num_tokens)
            unwanted = self.pauses.begin(req, blocks, request.num_tokens, now)
        super()._free_blocks(request)
        self.pauses.discard(unwanted)

    def _rank(self, req: VllmReq) -> None:
        """Ask how its blocks stand once it has given them back, which it is about to do."""
        blocks = self._cache.req_blocks.get(req.request_id, ())
        if self.eviction is not None and blocks:
            self.eviction.rank(req, blocks)

    def end_session(self, last: VllmReq | RoundInfo) -> None:
        """No round follows this one."""
        self.pauses.ended(last.session_id)
        self.view.contexts.pop(last.session_id, None)
        self.tell(SessionEnded(self.view.now, last.session_id, last.round + 1))

    # --- a step

    def schedule(self, throttle_prefills: bool = False) -> SchedulerOutput:
        now = self.view.now
        self.notices.step_began(now)
        self._finish_loads(now)
        self.pauses.review(now)
        self._take_off()
        if self.eviction is not None:
            self.eviction.expire(now)
        self.waiting.renew(now)
        self.sort_running()
        self.decisions.step_began(self.view.free_blocks)
        output = super().schedule(throttle_prefills)
        self._count(output)
        self.memory.spare_victim()
        if output.preempted_req_ids:
            self.waiting.joined()
        if self.notices.tracks:
            self._tell_of_starts(output, now)
        return output

    def _take_off(self) -> None:
        """Those who yield wait again."""
        self._num_yielded = 0
        if not (self._asks_yields and self.running):
            return
        now = self.view.now
        for req in self.answers.yields(self.view.running):
            request = self.requests[req.request_id]
            self.running.remove(request)
            self._preempt_request(request, now)
            self.notices.preempted(self.req(request), now)  # at once, since keys are asked now
            self.decisions.victim.add(True)
            self.waiting.stale = True
            self._num_yielded += 1

    def sort_running(self) -> None:
        """Put the running requests in the policy's order, as the next step will serve them."""
        if self.marsbench_policy.sorts_running:
            self.answers.sort_running(self.running, self.reqs)

    def _finish_loads(self, now: float) -> None:
        host = self.host
        arrived = None if host is None else host.take_arrived(now)
        if host is None or arrived is None:
            return
        for request_id in sorted(arrived.finished_recving or ()):
            req, load = self.reqs[request_id], host.loads[request_id]
            self.watch.swapped_in(req.session_id, req.round, load.host_tokens // self.block_size)
        self._update_from_kv_xfer_finished(arrived)

    def _count(self, output: SchedulerOutput) -> None:
        """Note what this step's answers came to."""
        reqs, tokens = self.reqs, output.num_scheduled_tokens
        begun = len(output.scheduled_new_reqs) + len(output.scheduled_cached_reqs.resumed_req_ids)
        kept = len(self.running) - begun  # vLLM appends whom it starts
        started = [reqs[request.request_id] for request in self.running[kept:]]
        short = len(output.preempted_req_ids or ()) > self._num_yielded
        self.decisions.step_ended(tokens, started, short, self.view.free_blocks)
        if self.marsbench_policy.sorts_running and kept > 1:
            left = output.total_num_scheduled_tokens - sum(tokens[r.request_id] for r in started)
            if short or left >= self.max_num_scheduled_tokens:
                self.decisions.served_in(reqs[r.request_id] for r in self.running[:kept])

    def _tell_of_starts(self, output: SchedulerOutput, now: float) -> None:
        reqs, notices = self.reqs, self.notices
        for request_id in sorted(output.preempted_req_ids or ()):  # vLLM has them as a set
            notices.preempted(reqs[request_id], now)
        for request_id in started(output):
            req = reqs[request_id]
            self.pauses.resumed(req.session_id)
            scheduled = output.num_scheduled_tokens[request_id]
            notices.started(req, req.num_computed_tokens - scheduled, now)

    def _preempt_request(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.notices.preempts(request)
        self._rank(self.req(request))
        super()._preempt_request(request, *args, **kwargs)

    def _reserve_prefill_lookahead(
        self, request: Request, num_computed_tokens: int, num_new_tokens: int
    ) -> int:
        if request.num_tokens - num_computed_tokens <= 1:
            return max(0, num_new_tokens)  # a decode is never cut, by vLLM's own rule either
        tokens = super()._reserve_prefill_lookahead(request, num_computed_tokens, num_new_tokens)
        return self.memory.chunk(request, num_computed_tokens, tokens)

    def _get_local_prefix_cache_hit(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        # 0.32 passes the request alone, 0.33 a length too.
        hit = super()._get_local_prefix_cache_hit(request, *args, **kwargs)
        if self.memory.shrinks:
            self.memory.found_prefix(hit[0].blocks[0])
        return hit

    def update_from_output(self, scheduler_output: Any, model_runner_output: Any) -> Any:
        self.notices.served(scheduler_output, self.requests)
        outputs = super().update_from_output(scheduler_output, model_runner_output)
        self.notices.first_tokens()
        return outputs

    # --- what time alone changes

    def unsettled(self) -> bool:
        """Whether the next step asks the policy for an order that the last one did not have."""
        now = self.view.now
        if self.waiting.is_stale(now) or now >= self._next_expiry():
            return True
        return self.host is not None and self._has_loaded(self.host, now)

    def _has_loaded(self, host: HostTier, now: float) -> bool:
        """Whether a request waits whose blocks are back, or are back by now."""
        return len(self.kv_holding_waiting) > len(host.loading) or now >= host.next_arrival

    def next_change(self) -> float:
        """When time alone may change a decision: a hold runs out, or the policy says so."""
        arrival = math.inf if self.host is None else self.host.next_arrival
        return min(self._next_expiry(), self.answers.changes_at(), arrival)

    def _next_expiry(self) -> float:
        """When a hold runs out, or a rank in the free list."""
        ranks = math.inf if self.eviction is None else self.eviction.next_expiry
        return min(self.pauses.holds.next_expiry, ranks)
