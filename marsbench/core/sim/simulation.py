"""One simulated run: vLLM's scheduler, a step-time model, and sessions, on one virtual clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marsbench.core.sim.vllm_core import make_request, make_scheduler
from marsbench.core.backends import STOCK
from marsbench.core.hardware.host import ToolHost
from marsbench.core.hardware.profile import Hardware, HardwareCost
from marsbench.core.proven import are_proven
from marsbench.core.session import Generate, Session
from marsbench.core.settings import EngineSettings
from marsbench.core.sim.clock import VirtualClock
from marsbench.core.sim.ledger import BlockLedger
from marsbench.core.sim.loop import Loop
from marsbench.core.sim.merge import PolicyScheduler
from marsbench.core.sim.moves import BlockMoves
from marsbench.core.sim.own_class import as_stock, scheduler_class
from marsbench.core.sim.requests import Requests
from marsbench.core.sim.sampler import KvSampler
from marsbench.core.sim.sessions import Emit, LiveSession, SimSessions
from marsbench.core.sim.steps import Counters, Steps
from marsbench.core.sim.tools import SimTools
from marsbench.errors import RunFailedError
from marsbench.offload.link import Link
from marsbench.offload.worker import Offload
from marsbench.shortcuts.fast_pool import FastPool
from marsbench.trees.clock import ticking
from marsbench_backends.admission import Admission
from marsbench_backends.answers.admission import watched
from marsbench_backends.answers.wrong import WrongAnswerError, refuse
from marsbench_backends.registry import Backend, BuiltBackend, load
from marsbench_backends.signals import Signal
from marsbench_backends.vllm.rounds import RoundInfo

if TYPE_CHECKING:
    from marsbench.offload.eager import EagerOffload
    from marsbench.offload.lazy import LazyOffload


@dataclass(frozen=True)
class SimConfig:
    """What a simulated run needs besides its sessions.

    backend: one, or a name that `marsbench_backends.registry` knows; None for vLLM's stock
        scheduler. Each simulation builds its policy and its controller, once.
    scheduler: where no backend is, a user's class in the place of vLLM's own (module:Class).
    merge: take runs of equal steps as one (the events are the same).
    fast: use the faster loops of `fast_pool` and `fast_steps` (the decisions are the same).
        Both are off, unless asked for, on a vLLM of which nobody has proven it.
    compiled: take the loops over blocks compiled, where they are built.
    check: test the invariants at every step.
    sample_s: virtual seconds between two samples of the engine's state.
    """

    hardware: Hardware
    settings: EngineSettings = field(default_factory=EngineSettings)
    backend: Backend | str | None = "fcfs"
    backend_settings: Mapping[str, object] = field(default_factory=dict)
    scheduler: str = STOCK
    tool_cores: int = 8
    tool_workers: int | None = None
    lanes: int | None = None
    merge: bool = field(default_factory=are_proven)
    fast: bool = field(default_factory=are_proven)
    compiled: bool = True
    check: bool = False
    sample_s: float = 1.0

    @property
    def num_blocks(self) -> int:
        """KV blocks: as set, or as many as the hardware's memory holds."""
        return self.settings.num_blocks(self.hardware)

    def build_backend(self) -> BuiltBackend | None:
        """A policy and a controller for one run; None where vLLM's stock scheduler plays."""
        if self.backend is None:
            return None
        backend = load(self.backend) if isinstance(self.backend, str) else self.backend
        return backend.build(self.backend_settings)


class Simulation:
    """Plays sessions to their end and emits every event on the way."""

    def __init__(self, config: SimConfig, emit: Emit) -> None:
        self.config = config
        self._clock = VirtualClock()
        self._ledger = BlockLedger(config.settings.block_size)
        self._moves = BlockMoves(self._clock, self._ledger, emit)
        self._backend = config.build_backend()
        with self._ticking():
            self.scheduler: Any = self._make_scheduler()
        tools = SimTools(self._clock, ToolHost(config.tool_cores, config.tool_workers))
        self.sessions = SimSessions(self._clock, tools, self._admission(), self, emit)
        self._requests = Requests(self.scheduler, self._clock, emit)
        self._sampler = KvSampler(self.scheduler, tools, config.num_blocks, config.sample_s, emit)
        offload = self.scheduler.host if self.scheduler.offloads else None
        step_time = config.hardware.step_time
        self._steps = Steps(self.scheduler, self._clock, step_time, config.merge, offload)
        pool = FastPool(self.scheduler.kv_cache_manager, config.compiled)
        if config.fast:
            pool.install(self.scheduler)
            self.scheduler.fast_steps = True
            if offload is not None:
                offload.quicken()
        self._loop = Loop(
            self._clock,
            self._steps,
            self._requests,
            pool,
            self._moves,
            self._sampler,
            self.sessions,
            self.scheduler,
            None if self._backend is None else self._backend.name,
            config.check,
            offload,
        )

    def _make_scheduler(self) -> Any:
        config, backend = self.config, self._backend
        engine = (config.settings, config.num_blocks, config.hardware.max_model_len)
        size = config.hardware.kv_bytes_per_token
        tier = None if config.settings.host_kv is None else self._offload
        if backend is None:
            own = as_stock(scheduler_class(config.scheduler))
            stock: Any = make_scheduler(own, *engine, kv_bytes_per_token=size)
            stock.host = None if tier is None else tier(stock)
            return stock
        scheduler: Any = make_scheduler(
            PolicyScheduler,
            *engine,
            kv_bytes_per_token=size,
            backend=backend,
            clock=lambda: self._clock.now,
            cost=HardwareCost(config.hardware, config.settings.max_num_batched_tokens),
            watch=self._moves,
            models_host_memory=True,
            tier=tier,
        )
        scheduler.answers.thorough = config.check
        scheduler.holds.changed = self._hold_changed
        return scheduler

    def _offload(self, scheduler: Any) -> Offload:
        """What plays the worker of the scheduler's connector to host memory."""
        settings, hardware = self.config.settings, self.config.hardware
        host_kv = settings.host_kv
        assert host_kv is not None
        scheduler.offloads = True
        self._moves.block_bytes = hardware.kv_bytes_per_token * settings.block_size
        link = Link(lambda blocks: hardware.swap_s(blocks * settings.block_size))
        kind = _worker(host_kv.is_lazy)
        return kind(
            scheduler, link, lambda: self._clock.now, host_kv.cost * hardware.host_link_share
        )

    def _admission(self) -> Admission:
        """The controller, its answers looked at; everyone enters where no backend plays."""
        if self._backend is None:
            return Admission()
        return watched(self._backend.admission, self._backend.name, refuse)

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self._clock.now

    @property
    def counters(self) -> Counters:
        """How much work it was so far."""
        return self._steps.counters

    @property
    def decisions(self) -> dict[str, Any] | None:
        """How often the policy and the controller were asked, and answered other than vLLM would;
        None where no policy is asked.
        """
        if not isinstance(self.scheduler, PolicyScheduler):
            return None
        return {**self.scheduler.decisions.record(), "admission": self.sessions.entries.record()}

    @property
    def modes(self) -> dict[str, float]:
        """Seconds that the controller spent in each of its modes, while sessions waited for it."""
        return self.sessions.entries.modes.seconds

    # --- what sessions ask of the engine

    def submit(self, live: LiveSession, step: Generate) -> None:
        """Hand a round to the scheduler."""
        session, prompt = live.session, step.prompt
        live.computed.begin(prompt)
        request_id = f"{session.id}#{prompt.round}"
        request = make_request(
            request_id,
            session.id,
            prompt.num_tokens,
            prompt.output_tokens,
            self._ledger.hashes(session, prompt),
            self._clock.now,
            self._info(live, step).to_extra_args(),
        )
        self._requests.add(request_id, live, prompt)
        self.scheduler.add_request(request)

    def _info(self, live: LiveSession, step: Generate) -> RoundInfo:
        prompt = step.prompt
        tools = tuple(call.name for call in step.calls)
        clairvoyant = self._clairvoyant
        future = live.futures.of(prompt.round) if clairvoyant else None
        reusable = live.computed.reusable(prompt.num_tokens, self._ledger.block_size)
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
        self._ledger.forget(session)

    def kv_blocks(self) -> tuple[int, int, int]:
        return self._sampler.num_blocks, self._sampler.free_blocks, self._ledger.block_size

    def prefix_tokens(self) -> tuple[int, int]:
        return self._requests.num_queried_tokens, self._requests.num_hit_tokens

    def _hold_changed(self, session: str, blocks: int | None, how: float | str) -> None:
        self._steps.forget_head()
        self._moves.hold_changed(session, blocks, how)

    # --- the run

    def _ticking(self) -> AbstractContextManager[None]:
        """While this lasts, what the scheduler is written in reads our clock."""
        cls = scheduler_class(self.config.scheduler)
        own = {owner.__module__ for owner in cls.__mro__ if owner is not object}
        return ticking(lambda: self._clock.now, own)

    def run(self, sessions: Sequence[Session]) -> None:
        """Play all sessions.

        Raises RunFailedError when nothing can go on, and when an answer cannot be carried out.
        """
        self.sessions.schedule(sessions, self.config.lanes)
        try:
            with self._ticking():
                self._loop.play()
        except WrongAnswerError as error:
            raise RunFailedError(str(error)) from error
        if self.sessions.unfinished:
            raise RunFailedError("Sessions wait for admission and nothing is left to happen.")


def _worker(is_lazy: bool) -> type[LazyOffload] | type[EagerOffload]:
    """Of vLLM's connector; imported where one is asked for, since not every vLLM has it so."""
    if is_lazy:
        from marsbench.offload.lazy import LazyOffload

        return LazyOffload
    from marsbench.offload.eager import EagerOffload

    return EagerOffload
