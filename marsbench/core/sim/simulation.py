"""One simulated run: vLLM's scheduler, a step-time model, and sessions, on one virtual clock.

A step begins with `schedule()` at virtual time t and ends at t + its modelled duration; what
falls due in between (arrivals, tool ends) happens at its own time and joins the next step, as
requests join a server's queue while the GPU computes. Ties: what is due exactly when a step ends
happens before the step's tokens exist.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from marsbench.core import events
from marsbench.core.hardware.batch import batch_seconds
from marsbench.core.hardware.cost import HardwareCost
from marsbench.core.hardware.host import ToolHost
from marsbench.core.hardware.profile import Hardware
from marsbench.core.session import Generate, Prompt, Session
from marsbench.core.settings import EngineSettings
from marsbench.core.sim.clock import Clock
from marsbench.core.sim.evictions import by_step
from marsbench.core.sim.fast_pool import FastPool
from marsbench.core.sim.hashes import SessionHashes, Writers
from marsbench.core.sim.invariants import check_blocks
from marsbench.core.sim.merge import Merger, Pattern, PolicyScheduler, StockScheduler
from marsbench.core.sim.moves import BlockMoves
from marsbench.core.sim.sessions import Emit, LiveSession, Sessions
from marsbench.core.sim.tools import Tools
from marsbench.core.sim.vllm_core import make_request, make_scheduler, sampled
from marsbench.core.sim.watchdog import Watchdog
from marsbench.errors import RunFailedError
from marsbench_backends.admission import Admission
from marsbench_backends.answers.admission import watched
from marsbench_backends.answers.wrong import WrongAnswerError, refuse
from marsbench_backends.registry import Backend, BuiltBackend, load
from marsbench_backends.signals import Signal
from marsbench_backends.vllm.rounds import RoundInfo


@dataclass(frozen=True)
class SimConfig:
    """What a simulated run needs besides its sessions.

    backend: one, or a name that `marsbench_backends.registry` knows; None for vLLM's stock
        scheduler. Each simulation builds its policy and its controller, once.
    merge: take runs of equal steps as one (the events are the same).
    fast: use the faster loops of `fast_pool` (the decisions are the same).
    check: test the invariants at every step.
    sample_s: virtual seconds between two samples of the engine's state.
    """

    hardware: Hardware
    settings: EngineSettings = field(default_factory=EngineSettings)
    backend: Backend | str | None = "fcfs"
    backend_settings: Mapping[str, object] = field(default_factory=dict)
    tool_cores: int = 8
    tool_workers: int | None = None
    lanes: int | None = None
    merge: bool = True
    fast: bool = True
    check: bool = False
    sample_s: float = 1.0

    @property
    def num_blocks(self) -> int:
        """KV blocks: as set, or as many as the hardware's memory holds."""
        settings = self.settings
        if settings.kv_blocks is not None:
            return settings.kv_blocks
        return self.hardware.kv_blocks(settings.block_size, settings.memory_fraction)

    def build_backend(self) -> BuiltBackend | None:
        """A policy and a controller for one run; None where vLLM's stock scheduler plays."""
        if self.backend is None:
            return None
        backend = load(self.backend) if isinstance(self.backend, str) else self.backend
        return backend.build(self.backend_settings)


@dataclass(slots=True)
class Counters:
    """How much work a simulation was; `busy_s` is the virtual time that steps took."""

    steps: int = 0
    schedule_calls: int = 0
    busy_s: float = 0.0


class Simulation:
    """Plays sessions to their end and emits every event on the way."""

    def __init__(self, config: SimConfig, emit: Emit) -> None:
        self.config = config
        self.counters = Counters()
        self._emit = emit
        self._clock = Clock()
        self._hardware = config.hardware
        self._step_time = config.hardware.step_time
        self._writers = Writers()
        self._moves = BlockMoves(self._clock, self._writers, emit)
        self._backend = config.build_backend()
        self.scheduler: Any = self._make_scheduler()
        self._pool = self.scheduler.kv_cache_manager.block_pool
        self._merger = Merger(self.scheduler)
        self._blocks = FastPool(self.scheduler.kv_cache_manager)
        if config.fast:
            self._blocks.install(self.scheduler)
        self._hashes: dict[str, SessionHashes] = {}
        self._requests: dict[str, tuple[LiveSession, Prompt]] = {}
        self._no_token_yet: dict[str, None] = {}  # ordered: rounds whose first token is to come
        self._last_duration = 0.0
        self._next_sample = 0.0
        self._later_blocks = 0
        self._watchdog = Watchdog()
        tools = Tools(self._clock, ToolHost(config.tool_cores, config.tool_workers))
        self._tools = tools
        backend = self._backend
        admission = (
            Admission() if backend is None else watched(backend.admission, backend.name, refuse)
        )
        self.sessions = Sessions(self._clock, tools, admission, self, emit)

    def _make_scheduler(self) -> Any:
        config, backend = self.config, self._backend
        engine = (config.settings, config.num_blocks, self._hardware.max_model_len)
        if backend is None:
            return make_scheduler(StockScheduler, *engine)
        scheduler: Any = make_scheduler(
            PolicyScheduler,
            *engine,
            backend=backend,
            clock=lambda: self._clock.now,
            cost=HardwareCost(self._hardware, config.settings.max_num_batched_tokens),
            watch=self._moves,
            models_host_memory=True,
        )
        scheduler.answers.thorough = config.check
        scheduler.holds.changed = self._hold_changed
        return scheduler

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self._clock.now

    @property
    def decisions(self) -> dict[str, Any] | None:
        """How often the policy and the controller were asked, and answered other than vLLM would;
        None where no policy is asked.
        """
        if not isinstance(self.scheduler, PolicyScheduler):
            return None
        return {**self.scheduler.decisions.record(), "admission": self.sessions.entries.record()}

    # --- what sessions ask of the engine

    def submit(self, live: LiveSession, step: Generate) -> None:
        """Hand a round to the scheduler."""
        session, prompt, now = live.session, step.prompt, self._clock.now
        hashes = self._hashes.get(session.id)
        if hashes is None:
            hashes = SessionHashes(session, self._writers, self.config.settings.block_size)
            self._hashes[session.id] = hashes
        hashes.start_round(prompt)
        live.computed.begin(prompt)
        request_id = f"{session.id}#{prompt.round}"
        self._requests[request_id] = (live, prompt)
        info = self._info(live, step)
        tokens = (prompt.num_tokens, prompt.output_tokens)
        block_hashes, extra = hashes.upto(sum(tokens)), info.to_extra_args()
        self.scheduler.add_request(
            make_request(request_id, session.id, *tokens, block_hashes, now, extra)
        )
        self._no_token_yet[request_id] = None

    def _info(self, live: LiveSession, step: Generate) -> RoundInfo:
        prompt = step.prompt
        tools = tuple(call.name for call in step.calls)
        clairvoyant = self._clairvoyant
        future = live.futures.of(prompt.round) if clairvoyant else None
        reusable = live.computed.reusable(prompt.num_tokens, self.config.settings.block_size)
        session_id = live.session.id
        return RoundInfo(
            session_id, prompt.round, tools, step.is_last, live.parent, reusable, future
        )

    @property
    def _clairvoyant(self) -> bool:
        policy = getattr(self.scheduler, "marsbench_policy", None)
        return policy is not None and policy.clairvoyant

    def tell(self, signal: Signal) -> None:
        """Pass on what the scheduler cannot see."""
        if isinstance(self.scheduler, PolicyScheduler):
            self.scheduler.tell(signal)

    def forget(self, session: Session) -> None:
        """The session has ended."""
        self._hashes.pop(session.id, None)

    def kv_blocks(self) -> tuple[int, int, int]:
        free = self._pool.get_num_free_blocks() + self._later_blocks
        return self.config.num_blocks, free, self.config.settings.block_size

    def _hold_changed(self, session: str, blocks: int | None, how: float | str) -> None:
        self._merger.forget_head()
        now = self._clock.now
        if blocks is None:
            self._emit(events.Unheld(now, session, str(how)))
        else:
            until = float(how) if math.isfinite(float(how)) else None
            self._emit(events.Held(now, session, blocks, until))

    # --- the run

    def run(self, sessions: Sequence[Session]) -> None:
        """Play all sessions.

        Raises RunFailedError when nothing can go on, and when an answer cannot be carried out.
        """
        self.sessions.schedule(sessions, self.config.lanes)
        try:
            self._play()
        except WrongAnswerError as error:
            raise RunFailedError(str(error)) from error
        if self.sessions.unfinished:
            raise RunFailedError("Sessions wait for admission and nothing is left to happen.")

    def _play(self) -> None:
        while True:
            if self.scheduler.has_unfinished_requests():
                self._step()
            elif math.isfinite(self._clock.next_due):
                self._pass_time(self._clock.next_due)
            else:
                break

    def _pass_time(self, until: float) -> None:
        """Let everything happen that is due by `until`, and sample the state on the way."""
        while True:
            due = min(self._clock.next_due, until)
            self._sample(due)
            num_done = self._clock.num_done
            action = self._clock.pop_due(until)
            if action is None:
                break
            action()
            if self._clock.num_done > num_done:
                self._watchdog.worked(self._clock.now)
            else:
                self._look_on()
        self._clock.now = until

    def _step(self) -> None:
        pattern, steps, ends = self._plan()
        if pattern is None:
            output = self.scheduler.schedule()
        else:
            output = self._merger.schedule(pattern, steps)
        self.counters.schedule_calls += 1
        if pattern is None:
            self._merger.saw(output)
        if output.total_num_scheduled_tokens == 0:
            self._stall(output)
            return
        self._watchdog.worked(self._clock.now)
        self._report_starts(output)
        if pattern is None:
            ends = [self._clock.now + self._duration(output)]
        self._last_duration = (ends[-1] - self._clock.now) / len(ends)
        self.counters.steps += len(ends)
        self.counters.busy_s += ends[-1] - self._clock.now
        self._report_evictions(pattern, ends)
        if self.config.check:
            check_blocks(self.scheduler, self.config.num_blocks)
        self._pass_time(ends[-1])
        self._finish_step(output)

    def _plan(self) -> tuple[Pattern | None, int, list[float]]:
        """The pattern to take as one macro step, for how many steps, and when each ends."""
        now, limit = self._clock.now, self._limit()
        # Something is due within about one step: there is hardly anything to merge.
        if not self.config.merge or limit - now <= 0.9 * self._last_duration:
            return None, 1, []
        pattern = self._merger.pattern()
        if pattern is None:
            return None, 1, []
        durations = self._durations(pattern, limit - now)
        ends = []
        for seconds in durations:
            now += seconds
            ends.append(now)
            if now >= limit:
                break
        return (pattern, len(ends), ends) if len(ends) > 1 else (None, 1, [])

    def _limit(self) -> float:
        """The first instant at which something may change the next step."""
        limit = self._clock.next_due
        if isinstance(self.scheduler, PolicyScheduler):
            limit = min(limit, self.scheduler.next_change())
        return limit

    def _durations(self, pattern: Pattern, span: float) -> list[float]:
        """Durations of the pattern's steps, no more of them than begin within `span` seconds."""
        batch = (len(pattern.decodes), pattern.decode_kv_tokens, pattern.prefills)
        first = self._step_time.seconds(*batch)
        # Steps only grow longer as their contexts grow.
        steps = min(pattern.steps, int(min(span / first, 1e9)) + 2)
        return self._step_time.run_seconds(*batch, steps)

    def _duration(self, output: Any) -> float:
        requests = self.scheduler.requests
        works = (
            (tokens, requests[i].num_computed_tokens - tokens, not requests[i].is_prefill_chunk)
            for i, tokens in output.num_scheduled_tokens.items()
        )
        return batch_seconds(self._step_time, works)

    def _stall(self, output: Any) -> None:
        """Nothing could run: wait for what may change that."""
        self.scheduler.update_from_output(output, sampled(self.scheduler, output))
        self._merger.forget_head()
        self._report_starts(output)
        self._report_evictions(None, [self._clock.now])
        self._look_on()
        if output.preempted_req_ids:
            return  # vLLM admits nobody in a step that preempted: the next one will try
        limit = self._limit()
        if not math.isfinite(limit):
            raise RunFailedError(self._stuck())
        self._pass_time(max(limit, self._clock.now))

    def _look_on(self) -> None:
        """Nothing came of a call or a tick."""
        clock, num_requests = self._clock, len(self.scheduler.requests)
        wrong = self._watchdog.in_vain(clock.now, num_requests, clock.only_ticks)
        if wrong is not None:
            raise RunFailedError(f"{wrong}.{self._last_answers()}")

    def _stuck(self) -> str:
        waiting = [request.request_id for request in self.scheduler.waiting]
        free = self._pool.get_num_free_blocks()
        return (
            f"Nothing can run: {len(waiting)} requests wait ({', '.join(waiting[:3])}, …) and the "
            f"first does not fit into {free} free KV blocks of {self.config.num_blocks}."
            f"{self._last_answers()}"
        )

    def _last_answers(self) -> str:
        if self._backend is None:
            return ""
        last = self.scheduler.answers.last()
        return f" What {self._backend.name} answered last: {last}." if last else ""

    # --- events of a step

    def _report_starts(self, output: Any) -> None:
        now = self._clock.now
        for request_id in sorted(output.preempted_req_ids or ()):
            live, prompt = self._requests[request_id]
            lost = self.scheduler.lost_tokens.pop(request_id)
            live.computed.preempted(lost)
            self._merger.forget_head()
            self._emit(events.Preempted(now, live.session.id, prompt.round, lost))
        resumed = output.scheduled_cached_reqs.resumed_req_ids
        for data in output.scheduled_new_reqs:
            self._report_start(data.req_id, output)
        for request_id in sorted(resumed):
            self._report_start(request_id, output)

    def _report_start(self, request_id: str, output: Any) -> None:
        live, prompt = self._requests[request_id]
        request = self.scheduler.requests[request_id]
        found = request.num_computed_tokens - output.num_scheduled_tokens[request_id]
        loaded = self._loaded(request_id, found)
        reusable = live.computed.reusable(request.num_tokens, self.config.settings.block_size)
        resumed = request.num_preemptions > 0
        facts = (found - loaded, reusable, resumed, loaded)
        self._emit(events.GpuStart(self._clock.now, live.session.id, prompt.round, *facts))

    def _loaded(self, request_id: str, found: int) -> int:
        """Of the tokens that a request found computed, those that came from host memory."""
        host = getattr(self.scheduler, "host", None)
        return 0 if host is None else int(host.take_loaded(request_id, found))

    def _report_evictions(self, pattern: Pattern | None, ends: list[float]) -> None:
        """Evictions at the start of the step they belong to; samples between them."""
        evictions = self._blocks.take_evictions()
        if pattern is None or (not evictions and self._next_sample >= ends[-1]):
            self._moves.evicted(self._clock.now, [h for _, h in evictions])
            return
        popped = self._popped(pattern, len(ends))
        begins = [self._clock.now, *ends[:-1]]
        for begin, total, hashes in zip(begins, popped, by_step(evictions, popped), strict=True):
            self._sample(begin)
            self._later_blocks = popped[-1] - total
            self._moves.evicted(begin, hashes)

    def _popped(self, pattern: Pattern, steps: int) -> list[int]:
        """Blocks popped off the free list by the end of each step of a macro step."""
        size = self.config.settings.block_size
        requests = self.scheduler.requests
        tokens = np.array(list(pattern.tokens.values()))
        after = np.array([requests[i].num_computed_tokens for i in pattern.tokens])
        before = after - steps * tokens
        upto = before + np.arange(1, steps + 1)[:, None] * tokens
        blocks = -(-upto // size) - -(-before // size)
        return [int(n) for n in blocks.sum(axis=1)]

    def _finish_step(self, output: Any) -> None:
        scheduler = self.scheduler
        self._later_blocks = 0
        firsts = [i for i in self._no_token_yet if self._gets_first_token(i, output)]
        outputs = scheduler.update_from_output(output, sampled(scheduler, output))
        now = self._clock.now
        for request_id in firsts:
            del self._no_token_yet[request_id]
            live, prompt = self._requests[request_id]
            self._emit(events.GpuFirstToken(now, live.session.id, prompt.round))
        if 0 in outputs:
            for done in outputs[0].outputs:
                if done.finish_reason is not None:
                    self._round_ended(done.request_id)

    def _gets_first_token(self, request_id: str, output: Any) -> bool:
        given = request_id in output.num_scheduled_tokens
        return given and not self.scheduler.requests[request_id].is_prefill_chunk

    def _round_ended(self, request_id: str) -> None:
        live, prompt = self._requests.pop(request_id)
        live.computed.end(prompt)
        self._merger.forget_head()
        self.sessions.round_ended(live, prompt.output_tokens, prompt.round)

    def _sample(self, until: float) -> None:
        """Emit the engine's state at every grid time up to `until`."""
        while self._next_sample <= until:
            at = self._next_sample
            self._next_sample += self.config.sample_s
            if self.scheduler.has_unfinished_requests() or self._tools.in_flight:
                self._emit(self._usage(at))

    def _usage(self, at: float) -> events.KvUsage:
        holds = getattr(self.scheduler, "holds", None)
        held = holds.num_blocks() if holds else 0
        free = self._pool.get_num_free_blocks() + self._later_blocks
        return events.KvUsage(
            at,
            used_blocks=self.config.num_blocks - free - held,
            held_blocks=held,
            free_blocks=free,
            running=len(self.scheduler.running),
            waiting=len(self.scheduler.waiting),
            tools_in_flight=self._tools.in_flight,
        )
