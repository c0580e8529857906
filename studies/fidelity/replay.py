"""A server's recorded decisions, taken again by the simulator's scheduler.

The record (marsbench_backends/vllm/record.py) says what reached the server's scheduler and when,
and what it decided. Here the same arrivals and the same measured times go to the scheduler that
simulations run, over block hashes without text and with the simulator's fast loops; each step's
decision is compared.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm.distributed.kv_transfer.kv_connector.v1.offloading.common import (
    OffloadingWorkerMetadata,
)
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.outputs import KVConnectorOutput
from vllm.v1.request import RequestStatus
from vllm.v1.simple_kv_offload.metadata import SimpleCPUOffloadWorkerMetadata

from marsbench.core.sim.vllm_core import make_request, make_scheduler
from marsbench.core.session import Prompt, Round, Session
from marsbench.core.settings import EngineSettings
from marsbench.core.sim.ledger import BlockLedger
from marsbench.core.sim.merge import PolicyScheduler
from marsbench.hardware.profile import Hardware, HardwareCost
from marsbench.shortcuts.fast_pool import FastPool
from marsbench.shortcuts.fast_steps import sampled
from marsbench_backends import signals
from marsbench_backends.registry import Backend
from marsbench_backends.vllm.mixin import PolicyMixin
from marsbench_backends.vllm.rounds import RoundInfo
from marsbench_backends.vllm.watch import BlockWatch

COMPARED = ("tokens", "started", "preempted", "free")


class AsyncPolicyScheduler(PolicyMixin, AsyncScheduler):
    """As PolicyScheduler, of an engine that schedules a step before the last one has ended."""


@dataclass(frozen=True)
class World:
    """What a server was set to: its backend, its engine, and the sessions it was sent."""

    sessions: Sequence[Session]
    backend: Backend
    backend_settings: Mapping[str, object]
    settings: EngineSettings
    hardware: Hardware
    asynchronous: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """A step's decision that the simulator took otherwise."""

    step: int
    what: str
    server: Any
    simulator: Any


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many steps were compared, what was in them, and the first that differed, if any."""

    steps: int
    tokens: int
    requests: int
    preemptions: int
    evicted_blocks: int
    differences: tuple[Difference, ...]


def read_record(path: Path) -> list[dict[str, Any]]:
    """The lines of a record."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class Discards(BlockWatch):
    """Counts the blocks that the policy discards: no pop shows them."""

    def __init__(self) -> None:
        self.num_blocks = 0

    def discarded(self, hashes: Sequence[bytes]) -> None:
        self.num_blocks += len(hashes)


class Replay:
    """Takes a record's lines in order; `decisions` of the scheduler come out."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._now = 0.0
        self.discards = Discards()
        self.scheduler = self._make_scheduler()
        manager = self.scheduler.kv_cache_manager
        self.pool = FastPool(manager)
        if not world.asynchronous:
            self.pool.install(self.scheduler)
        self._ledger = BlockLedger(world.settings.block_size)
        self._sessions: dict[str, tuple[Session, Iterator[Prompt]]] = {}
        for root in world.sessions:
            for session in root.walk():
                self._know(session)
        self._under_way: deque[tuple[Any, Any]] = deque()

    def _make_scheduler(self) -> Any:
        world, settings = self._world, self._world.settings
        blocks = settings.kv_blocks or world.hardware.kv_blocks(
            settings.block_size, settings.memory_fraction
        )
        scheduler: Any = make_scheduler(
            AsyncPolicyScheduler if world.asynchronous else PolicyScheduler,
            settings,
            blocks,
            world.hardware.max_model_len,
            kv_bytes_per_token=world.hardware.kv_bytes_per_token,
            backend=world.backend.build(world.backend_settings),
            clock=lambda: self._now,
            cost=HardwareCost(world.hardware, settings.max_num_batched_tokens),
            watch=self.discards,
        )
        scheduler.answers.sayer.told = lambda _: None  # the server said so when it was asked
        return scheduler

    def _know(self, session: Session) -> None:
        self._sessions[session.id] = (session, session.prompts())

    def take(self, line: Mapping[str, Any]) -> dict[str, Any] | None:
        """Do what the line says; the decision, where it is a step."""
        self._now = line["at"]
        match line["event"]:
            case "submitted":
                self._submit(line)
            case "scheduled":
                return self._schedule()
            case "computed":
                output, result = self._under_way.popleft()
                result.kv_connector_output = self._copied(line)
                self.scheduler.update_from_output(output, result)
            case "told":
                self.scheduler.tell(_signal(line))
            case "aborted":
                aborted = RequestStatus.FINISHED_ABORTED
                self.scheduler.finish_requests(line["requests"], aborted)
            case "abandoned":
                self.scheduler.end_session(RoundInfo(line["session"], line["round"]))
        return None

    def _copied(self, line: Mapping[str, Any]) -> KVConnectorOutput | None:
        """What the server's worker said of copies that had ended."""
        host_kv, numbers = self._world.settings.host_kv, line.get("copies")
        if host_kv is None or numbers is None:
            return None
        kind = SimpleCPUOffloadWorkerMetadata if host_kv.is_lazy else OffloadingWorkerMetadata
        meta = kind(dict.fromkeys(numbers, 1)) if numbers else None
        loaded: Any = dict.fromkeys(line["loaded"])  # a set in vLLM; in the server's order here
        return KVConnectorOutput(finished_recving=loaded, kv_connector_worker_meta=meta)

    def _submit(self, line: Mapping[str, Any]) -> None:
        info = RoundInfo.of_facts(line)
        if info.session_id not in self._sessions:  # a probe of somebody's, which shares no block
            self._know(
                Session(info.session_id, (Round(line["prompt_tokens"], line["max_tokens"]),))
            )
        session, prompts = self._sessions[info.session_id]
        prompt = next(prompts)
        while prompt.round < info.round:  # those before went to another server
            self._ledger.hashes(session, prompt)
            prompt = next(prompts)
        planned = (prompt.round, prompt.num_tokens, prompt.output_tokens)
        sent = (info.round, line["prompt_tokens"], line["max_tokens"])
        if planned != sent:
            raise ValueError(f"{line['request']} is (round, prompt, output) {sent}, not {planned}")
        self.scheduler.add_request(
            make_request(
                line["request"],
                info.session_id,
                prompt.num_tokens,
                prompt.output_tokens,
                self._ledger.hashes(session, prompt),
                self._now,
                info.to_extra_args(),
            )
        )

    def _schedule(self) -> dict[str, Any]:
        output = self.scheduler.schedule()
        cached = output.scheduled_cached_reqs
        started = {new.req_id: new.num_computed_tokens for new in output.scheduled_new_reqs}
        computed = zip(cached.req_ids, cached.num_computed_tokens, strict=True)
        started.update((i, n) for i, n in computed if i in cached.resumed_req_ids)
        self._under_way.append((output, sampled(self.scheduler, output)))
        return {
            "tokens": dict(output.num_scheduled_tokens),
            "started": started,
            "preempted": sorted(output.preempted_req_ids or ()),
            "free": self.scheduler.kv_cache_manager.block_pool.get_num_free_blocks(),
        }


def replay(lines: Iterable[Mapping[str, Any]], world: World) -> Replayed:
    """Replay a record up to its end or to the first step that differs."""
    again = Replay(world)
    steps = tokens = requests = preemptions = 0
    differences: tuple[Difference, ...] = ()
    for line in lines:
        decided = again.take(line)
        requests += line["event"] == "submitted"
        if decided is None:
            continue
        steps += 1
        tokens += sum(line["tokens"].values())
        preemptions += len(line["preempted"])
        differences = tuple(_differences(line, decided))
        if differences:
            break  # from here on the two are in different states
    evicted = sum(count for _, count, _ in again.pool.evictions) + again.discards.num_blocks
    return Replayed(steps, tokens, requests, preemptions, evicted, differences)


def _differences(line: Mapping[str, Any], decided: Mapping[str, Any]) -> Iterator[Difference]:
    for what in COMPARED:
        server, simulator = line[what], decided[what]
        if what == "tokens":  # who is served first is a decision too
            server, simulator = list(server.items()), list(simulator.items())
        if server != simulator:
            yield Difference(line["step"], what, server, simulator)


def _signal(line: Mapping[str, Any]) -> signals.Signal:
    """The signal of a `told` line."""
    fields = {k: v for k, v in line.items() if k not in ("event", "signal", "session_id", "at")}
    kind = getattr(signals, line["signal"])
    made: signals.Signal = kind(line["at"], line["session_id"], **fields)
    return made
