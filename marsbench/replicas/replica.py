"""One engine of several: its steps are planned first, and taken when they are over or cut short.

Alone, an engine takes equal steps as one up to what is due next (`core/sim/merge.py`). Beside
others that would be hardly ever more than one, for something is due in all of them at any time. So
a run of equal steps is only planned here: until a round or a signal reaches this replica, nothing
can change them. What does cuts the run behind the step that is under way, and so it is as if
single steps had been taken, whatever the others do.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from marsbench.core.events import Event, Evicted, Preempted
from marsbench.core.session import Prompt
from marsbench.core.sim.clock import VirtualClock
from marsbench.core.sim.engine import SimConfig, SimEngine
from marsbench.core.sim.ledger import BlockLedger
from marsbench.core.sim.loop import Loop
from marsbench.core.sim.merge import Pattern
from marsbench.core.sim.sessions import Emit, LiveSession, SimSessions
from marsbench.core.sim.steps import ScheduledStep, Steps
from marsbench.core.sim.tools import SimTools
from marsbench.errors import RunFailedError
from marsbench.offload.peer import PeerConnector, Peers
from marsbench.offload.worker import StepCopies
from marsbench.replicas.heard import HeardCache

Plan = tuple[Pattern | None, list[float], Mapping[int, StepCopies]]


class PlannedSteps(Steps):
    """Steps that are planned, perhaps cut, and then taken.

    may_plan: whether nothing of other replicas bears on the next steps.
    """

    _planned: Plan = (None, [], {})
    _rooms: Sequence[tuple[int, int]] = ()  # tokens that each has room for, and what a step adds
    may_plan: Callable[[], bool] | None = None

    @property
    def ends(self) -> list[float]:
        """When each step of the planned run ends; none where a single one is to be taken."""
        return self._planned[1]

    def popped(self, steps: int) -> int:
        """Blocks that the first steps of the planned run take from the free ones."""
        size = self._scheduler.block_size
        return sum([-((room - steps * tokens) // size) for room, tokens in self._rooms])

    def plan(self) -> None:
        """Look ahead from now, and schedule nothing yet."""
        if self.may_plan is not None and not self.may_plan():
            return
        self._planned = super()._plan()
        pattern = self._planned[0]
        if pattern is not None:
            size, requests = self._scheduler.block_size, self._scheduler.requests
            given = pattern.tokens.items()
            self._rooms = [(-requests[i].num_computed_tokens % size, n) for i, n in given]

    def cut(self, at: float) -> None:
        """No step that begins after `at`."""
        pattern, ends, copies = self._planned
        kept = ends[: bisect_left(ends, at) + 1]
        self._planned = (pattern, kept, copies) if len(kept) > 1 else (None, [], {})

    def _plan(self) -> Plan:
        planned, self._planned = self._planned, (None, [], {})
        return planned


class ReplicaLoop(Loop):
    """An engine's own steps; when they begin and end, the fleet says.

    wake_at: when there is something to do next, unless something reaches it before.
    """

    _steps: PlannedSteps

    def __init__(self, engine: SimEngine, sessions: SimSessions) -> None:
        super().__init__(engine, sessions)
        self.wake_at = math.inf
        self._step_taken: ScheduledStep | None = None
        self._may_start = True

    @property
    def planned_from(self) -> float | None:
        """When a run of steps began that is not yet taken; None where there is none."""
        return self._clock.now if self._steps.ends else None

    @property
    def is_free(self) -> bool:
        """Whether no step is under way."""
        return self._step_taken is None and not self._steps.ends

    def start(self, now: float) -> None:
        """Begin with the next step, if there is work."""
        self._clock.now = now
        self.wake_at = math.inf
        if not self._scheduler.has_unfinished_requests():
            return
        self._steps.plan()
        if self._steps.ends:
            self.wake_at = self._steps.ends[-1]
        else:
            self._take()

    def start_idle(self, now: float) -> None:
        """Begin if it was idle and has work now, or had work of which nothing could run."""
        if not self._may_start:
            return  # nothing has happened here since it was found to rest, or in a step
        if self.is_free and self._scheduler.has_unfinished_requests():
            if self.wake_at > now:
                self.start(now)
        else:
            self._may_start = False

    def reach(self, now: float) -> None:
        """Something is about to reach this replica."""
        self._may_start = True
        if self._steps.ends:
            self._steps.cut(now)
            self._take()
        self._clock.now = now

    def wake(self, now: float) -> bool:
        """What was to happen at `wake_at`; whether tokens were made."""
        self._may_start = True
        if self._steps.ends:
            self._take()
        step, self._step_taken = self._step_taken, None
        self._clock.now = now
        if step is not None:
            self._finish(step.output)
        self.start(now)
        return step is not None

    def popped(self, at: float) -> int:
        """Blocks that the planned steps which began before `at` take from the free ones."""
        ends = self._steps.ends
        if not ends or at <= self._clock.now:
            return 0
        steps = 1 + bisect_left(ends, at, 0, len(ends) - 1)  # each begins where one ends
        return self._steps.popped(steps)

    def left_of_step(self, now: float) -> float:
        """Seconds until the step that is under way would end; 0 where none is."""
        return max(0.0, self.wake_at - now) if self._step_taken is not None else 0.0

    def stuck(self) -> RunFailedError:
        """Nothing goes on, and requests wait here."""
        return RunFailedError(self._stuck())

    def _take(self) -> None:
        step = self._steps.next()
        self._report_step(step)
        if step.output.total_num_scheduled_tokens:
            self._step_taken, self.wake_at = step, step.ends[-1]
            return
        self._update(step.output)
        self._steps.forget_head()
        again = bool(step.output.preempted_req_ids)  # vLLM admits nobody in such a step
        self.wake_at = self._clock.now if again else max(self._clock.now, self._steps.limit())


class Replica:
    """An engine with its loop, and what it tells of itself.

    delay_s: until the router knows of a change of its cache.

    """

    def __init__(
        self,
        index: int,
        config: SimConfig,
        ledger: BlockLedger,
        tools: SimTools,
        emit: Emit,
        delay_s: float = 0.0,
    ) -> None:
        self.index = index
        self.evicted_blocks = 0
        self._unseen_s = 0.0
        self._emit = emit
        self.clock = VirtualClock()
        if delay_s:
            config = replace(config, fast=False, merge=False)
        self.engine = SimEngine(config, self.clock, ledger, tools, self._tell, PlannedSteps)
        self.engine.sampler.next_at = math.inf  # the fleet takes one sample of all
        self.num_blocks = config.num_blocks
        pool = self.engine.scheduler.kv_cache_manager.block_pool
        self._heard = HeardCache(pool, self.clock, delay_s) if delay_s else None

    def _tell(self, event: Event) -> None:
        if isinstance(event, Evicted):
            self.evicted_blocks += event.blocks
        self._emit(event)

    def join(self, sessions: SimSessions) -> None:
        """Play the rounds of these sessions that are sent here."""
        self.loop = ReplicaLoop(self.engine, sessions)

    @property
    def scheduler(self) -> Any:
        return self.engine.scheduler

    @property
    def has_work(self) -> bool:
        """Whether rounds run or wait here."""
        return bool(self.scheduler.has_unfinished_requests())

    def free_blocks(self, at: float) -> int:
        """KV blocks that nobody uses or holds."""
        return self.engine.sampler.free_blocks - self.loop.popped(at)

    @property
    def busy_s(self) -> float:
        """Seconds that its steps took, but for the end of one that it did not live to see."""
        return self.engine.counters.busy_s - self._unseen_s

    def cut_off(self, now: float) -> list[tuple[LiveSession, Prompt, bool, bool]]:
        """It leaves: what it has is lost, and told so; its rounds in order of submission, whether
        each had begun and had its first token.
        """
        self._unseen_s = self.loop.left_of_step(now)
        running = {request.request_id for request in self.scheduler.running}
        found = []
        for request_id, live, prompt, has_token in self.engine.requests.cut_off():
            request, key = self.scheduler.requests[request_id], (live.session.id, prompt.round)
            if request_id in running:
                self._tell(Preempted(now, *key, request.num_computed_tokens))
                live.computed.preempted(request.num_computed_tokens)
            has_begun = request_id in running or request.num_preemptions > 0
            found.append((live, prompt, has_begun, has_token))
        for session_id in list(getattr(self.scheduler, "holds", None) or ()):
            self.engine.moves.hold_changed(session_id, None, "replica_left")
        return found

    @property
    def held_blocks(self) -> int:
        """KV blocks that are held for paused sessions."""
        holds = getattr(self.scheduler, "holds", None)
        return holds.num_blocks() if holds else 0

    def heard_tokens(self, hashes: Any, prompt_tokens: int, now: float) -> int:
        """Leading tokens of a prompt that the router takes to be in the cache."""
        if self._heard is not None:
            return self._heard.tokens(hashes, prompt_tokens, self.scheduler.block_size, now)
        return self.present_tokens(hashes, prompt_tokens, now)

    def present_tokens(self, hashes: Any, prompt_tokens: int, now: float) -> int:
        """Leading tokens of a prompt that are in the cache now."""
        found = self.cached_tokens(hashes, prompt_tokens)
        if found and self.loop.planned_from is not None:
            self.loop.reach(now)  # steps that have begun may have evicted some of it
            found = self.cached_tokens(hashes, prompt_tokens)
        return found

    def work_s(self, now: float) -> float:
        """Seconds until all that was sent here is answered, were nothing else to come.

        Prompts one after the other, then as many steps of all of them as the longest answer takes.
        """
        self.loop.reach(now)
        requests = list(self.scheduler.requests.values())
        if not requests:
            return 0.0
        config, step_time = self.engine.config, self.engine.config.hardware.step_time
        budget = config.settings.max_num_batched_tokens
        computed = [self._computed(request) for request in requests]
        prefill_s = (
            step_time.prefill_s(request.num_tokens - done, done, budget)
            for request, done in zip(requests, computed, strict=True)
            if done < request.num_tokens - 1
        )
        tokens = sum(request.num_tokens for request in requests)
        left = max(request.max_tokens - request.num_output_tokens for request in requests)
        return math.fsum(prefill_s) + float(left * step_time.seconds(len(requests), tokens, ()))

    def _computed(self, request: Any) -> int:
        """Tokens of a request that need not be computed; of one that waits, what would be found."""
        if request.num_computed_tokens:
            return int(request.num_computed_tokens)
        return self.cached_tokens(request.block_hashes, request.num_tokens)

    def cached_tokens(self, hashes: Any, prompt_tokens: int) -> int:
        """Leading tokens of a prompt that vLLM would find; it always computes the last one."""
        return len(self.cached_blocks(hashes, prompt_tokens)) * int(self.scheduler.block_size)

    def cached_blocks(self, hashes: Any, prompt_tokens: int) -> Sequence[Any]:
        """The same as blocks of its cache."""
        coordinator = self.scheduler.kv_cache_manager.coordinator
        blocks: Sequence[Any] = coordinator.find_longest_cache_hit(hashes, prompt_tokens - 1)[0][0]
        return blocks

    # --- KV that moves between replicas

    def connect(self, peers: Peers) -> None:
        """Its rounds may fetch from others, through vLLM's own seam for that."""
        scheduler, hardware = self.scheduler, self.engine.config.hardware
        clock = self.clock
        self.peers = PeerConnector(
            scheduler.host, peers, scheduler.block_size, hardware.swap_s, lambda: clock.now
        )
        scheduler.host = scheduler.connector = self.peers
        scheduler.recompute_kv_load_failures = True
        scheduler.lent = {}
        steps = self.engine.steps
        assert isinstance(steps, PlannedSteps)
        steps.may_plan = lambda: self.peers.is_settled(scheduler)

    def lend(self, request_id: str, blocks: Sequence[Any]) -> None:
        """They stay here as long as they are copied for a round of another replica."""
        self.scheduler.kv_cache_manager.block_pool.touch(blocks)
        self.scheduler.lent[request_id] = blocks

    def take_back(self, request_id: str, now: float) -> None:
        """The copy is over."""
        self.loop.reach(now)
        blocks = self.scheduler.lent.pop(request_id)
        self.scheduler.kv_cache_manager.block_pool.free_blocks(reversed(blocks))
        self.engine.steps.forget_head()
