"""One engine on a virtual clock: vLLM's scheduler with its cache, and what plays its steps."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marsbench.core.sim.vllm_core import make_request, make_scheduler
from marsbench.core.backends import STOCK
from marsbench.core.proven import are_proven
from marsbench.core.session import Generate, Session
from marsbench.core.settings import EngineSettings
from marsbench.core.sim.clock import VirtualClock
from marsbench.core.sim.ledger import BlockLedger
from marsbench.core.sim.merge import PolicyScheduler
from marsbench.core.sim.moves import BlockMoves
from marsbench.core.sim.own_class import as_stock, scheduler_class
from marsbench.core.sim.plugins import plugin_classes, plugin_config
from marsbench.core.sim.requests import Requests
from marsbench.core.sim.sampler import KvSampler
from marsbench.core.sim.sessions import Emit, LiveSession
from marsbench.core.sim.steps import Counters, Steps
from marsbench.core.sim.tools import SimTools
from marsbench.errors import RunFailedError
from marsbench.hardware.profile import Hardware, HardwareCost
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
    backend_settings: of the backend; where none is, vLLM's own plugins by extension point.
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

    @property
    def plugins(self) -> Mapping[str, object]:
        """Of vLLM's own scheduler, by extension point."""
        return self.backend_settings if self.backend is None else {}

    def build_backend(self) -> BuiltBackend | None:
        """A policy and a controller for one run; None where vLLM's stock scheduler plays."""
        if self.backend is None:
            return None
        backend = load(self.backend) if isinstance(self.backend, str) else self.backend
        return backend.build(self.backend_settings)


class SimEngine:
    """A scheduler with its own KV cache, policy and books. Who takes its steps it does not know.

    ledger: whose block is whose; several engines that play the same sessions share one.
    steps: what asks the scheduler for one step after the other.
    """

    def __init__(
        self,
        config: SimConfig,
        clock: VirtualClock,
        ledger: BlockLedger,
        tools: SimTools,
        emit: Emit,
        steps: type[Steps] = Steps,
    ) -> None:
        self.config = config
        self.clock = clock
        self._ledger = ledger
        self.moves = BlockMoves(clock, ledger, emit)
        self.backend = config.build_backend()
        try:  # a policy hears of its engine while that is made
            with self.ticking():
                self.scheduler: Any = self._make_scheduler()
        except WrongAnswerError as error:
            raise RunFailedError(str(error)) from error
        self.requests = Requests(self.scheduler, clock, emit)
        self.sampler = KvSampler(self.scheduler, tools, config.num_blocks, config.sample_s, emit)
        self.offload = self.scheduler.host if self.scheduler.offloads else None
        step_time = config.hardware.step_time
        self.steps = steps(self.scheduler, clock, step_time, config.merge, self.offload)
        self.pool = FastPool(self.scheduler.kv_cache_manager, config.compiled)
        if config.fast:
            self.pool.install(self.scheduler)
            self.scheduler.fast_steps = True
            if self.offload is not None:
                self.offload.quicken(config.compiled)

    def _make_scheduler(self) -> Any:
        config, backend = self.config, self.backend
        engine = (config.settings, config.num_blocks, config.hardware.max_model_len)
        size = config.hardware.kv_bytes_per_token
        tier = None if config.settings.host_kv is None else self._offload
        if backend is None:
            own = as_stock(scheduler_class(config.scheduler))
            plugins = plugin_config(config.plugins)
            stock: Any = make_scheduler(own, *engine, kv_bytes_per_token=size, plugins=plugins)
            stock.host = None if tier is None else tier(stock)
            return stock
        scheduler: Any = make_scheduler(
            PolicyScheduler,
            *engine,
            kv_bytes_per_token=size,
            backend=backend,
            clock=lambda: self.clock.now,
            cost=HardwareCost(config.hardware, config.settings.max_num_batched_tokens),
            watch=self.moves,
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
        self.moves.block_bytes = hardware.kv_bytes_per_token * settings.block_size
        link = Link(lambda blocks: hardware.swap_s(blocks * settings.block_size))
        kind = _worker(host_kv.is_lazy)
        return kind(
            scheduler, link, lambda: self.clock.now, host_kv.cost * hardware.host_link_share
        )

    def admission(self) -> Admission:
        """The controller, its answers looked at; everyone enters where no backend plays."""
        if self.backend is None:
            return Admission()
        return watched(self.backend.admission, self.backend.name, refuse)

    @property
    def name(self) -> str | None:
        """Of its backend; None where vLLM's stock scheduler plays."""
        return None if self.backend is None else self.backend.name

    @property
    def counters(self) -> Counters:
        """How much work it was so far."""
        return self.steps.counters

    @property
    def decisions(self) -> dict[str, Any] | None:
        """How often the policy was asked, and answered other than vLLM would; None without one."""
        if not isinstance(self.scheduler, PolicyScheduler):
            return None
        return dict(self.scheduler.decisions.record())

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
            self.clock.now,
            self._info(live, step).to_extra_args(),
        )
        self.requests.add(request_id, live, prompt)
        self.scheduler.add_request(request)

    def _info(self, live: LiveSession, step: Generate) -> RoundInfo:
        prompt = step.prompt
        tools = tuple(call.name for call in step.calls)
        clairvoyant = self._clairvoyant
        future = live.futures.of(prompt.round) if clairvoyant else None
        reusable = live.computed.reusable(prompt.num_tokens, self._ledger.block_size)
        session = live.session
        facts = (tools, step.is_last, live.parent, reusable, future, session.tenant)
        return RoundInfo(session.id, prompt.round, *facts)

    @property
    def _clairvoyant(self) -> bool:
        policy = getattr(self.scheduler, "marsbench_policy", None)
        return policy is not None and policy.clairvoyant

    def tell(self, signal: Signal) -> None:
        """Pass on what the scheduler cannot see."""
        if isinstance(self.scheduler, PolicyScheduler):
            self.scheduler.tell(signal)

    def fork(self, parent: Session, child: Session) -> None:
        """A child is about to begin with its parent's context."""
        self._ledger.fork(parent, child)

    def forget(self, session: Session) -> None:
        """The session has ended."""
        self._ledger.forget(session)

    def kv_blocks(self) -> tuple[int, int, int]:
        return self.sampler.num_blocks, self.sampler.free_blocks, self._ledger.block_size

    def prefix_tokens(self) -> tuple[int, int]:
        return self.requests.num_queried_tokens, self.requests.num_hit_tokens

    def ticking(self) -> AbstractContextManager[None]:
        """While this lasts, what the scheduler is written in reads our clock."""
        classes = [scheduler_class(self.config.scheduler), *plugin_classes(self.config.plugins)]
        own = {owner.__module__ for cls in classes for owner in cls.__mro__ if owner is not object}
        return ticking(lambda: self.clock.now, own)

    def _hold_changed(self, session: str, blocks: int | None, how: float | str) -> None:
        self.steps.forget_head()
        self.moves.hold_changed(session, blocks, how)


def _worker(is_lazy: bool) -> type[LazyOffload] | type[EagerOffload]:
    """Of vLLM's connector; imported where one is asked for, since not every vLLM has it so."""
    if is_lazy:
        from marsbench.offload.lazy import LazyOffload

        return LazyOffload
    from marsbench.offload.eager import EagerOffload

    return EagerOffload
