"""vLLM's own scheduler with its own connector, and workers that are written here a second time.

Nothing of marsbench/offload but the setting is used: no adapter, no macro step, real tokens and
vLLM's own hashes. Written from vllm/v1/worker/gpu/kv_connector.py, from the connectors' workers
(v1/offloading/worker.py; v1/simple_kv_offload/worker.py), and from docs/host-kv.md.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from marsbench.core.events import HostDropped, HostLoaded, HostStored
from marsbench.core.session import Generate, Round, Session, ToolCall, play
from marsbench.core.settings import EngineSettings
from marsbench.hardware.steptime import batch_seconds
from tests.sim.test_offload import offloading, played
from tests.sim.worlds import HARDWARE, enough_blocks

pytestmark = pytest.mark.vllm
BLOCK, PREFIX = 16, 100
COPY_S = BLOCK * HARDWARE.kv_bytes_per_token / HARDWARE.host_link_bytes_per_s
SLOWER = HARDWARE.host_link_bytes_per_s / HARDWARE.memory_bytes_per_s
CASES = [
    (60, "eager", "lru"),
    (200, "eager", "lru"),
    (60, "eager", "arc"),
    (120, "threshold:2", "lru"),
    (150, "lazy", "lru"),
    (600, "lazy", "lru"),
]


def sessions(seed: int) -> list[Session]:
    """Eight sessions that push each other out; every third shares a prefix."""
    dice = np.random.default_rng(seed)
    found = []
    for number in range(8):
        rounds = []
        for index in range(int(dice.integers(2, 5))):
            tool = ToolCall("fetch", floor_s=float(dice.uniform(0.05, 1.0)))
            first = PREFIX if index == 0 else 0
            append, output = int(dice.integers(20, 300)), int(dice.integers(1, 40))
            rounds.append(Round(first + append, output, (tool,)))
        group = {"prefix_group": "g", "prefix_tokens": PREFIX} if number % 3 == 0 else {}
        at = float(dice.uniform(0, 1))
        found.append(Session(f"s{number}", tuple(rounds), arrival_s=at, **group))
    return found


class Sent(NamedTuple):
    """A copy: its name for the connector, whose blocks, who waits, since when; when it runs."""

    what: int
    owners: dict[str, int]
    requests: dict[str, int]
    asked_at: float
    begins_at: float
    ends_at: float


class Worker:
    """Two lanes. Its subclasses say when copies begin, and how vLLM is told of their ends."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sent: list[Sent] = []
        self.free = {"out": 0.0, "in": 0.0}

    def send(self, lane: str, what: int, gpu_blocks: Any, asked_at: float, at: float) -> None:
        owners = Counter(self.engine.owner(self.engine.gpu_hash(b)) for b in gpu_blocks)
        self._send(lane, what, dict(owners), {}, asked_at, at)

    def load(self, what: int, requests: dict[str, int], asked_at: float, at: float) -> None:
        self._send("in", what, {}, requests, asked_at, at)

    def _send(
        self, lane: str, what: int, owners: Any, requests: Any, asked_at: float, at: float
    ) -> None:
        begins = max(at, self.free[lane])
        ends = begins + sum((owners or requests).values()) * COPY_S
        self.free[lane] = ends
        self.sent.append(Sent(what, owners, requests, asked_at, begins, ends))

    def slower_s(self, begin: float, end: float) -> float:
        """By how much a step is longer for the copies that are known and overlap it."""
        both = (min(end, c.ends_at) - max(begin, c.begins_at) for c in self.sent)
        return SLOWER * sum(max(0.0, seconds) for seconds in both)

    def finished(self, now: float) -> list[Sent]:
        done = sorted((c for c in self.sent if c.ends_at <= now), key=lambda c: c.ends_at)
        self.sent = [c for c in self.sent if c.ends_at > now]
        return done


class EagerWorker(Worker):
    """OffloadingConnectorWorker."""

    unsubmitted: tuple[Any, ...] = ()

    def pre_forward(self, meta: Any, now: float) -> float:
        flush = meta.jobs_to_flush or set()
        popped = [(job, meta.store_jobs.pop(job)) for job in sorted(flush & set(meta.store_jobs))]
        for job, transfer in (*self.unsubmitted, *popped):
            self.send("out", job, transfer.src_spec.block_ids, now, now)
        self.unsubmitted = ()
        return max([now, *(c.ends_at for c in self.sent if c.what in flush)])

    def post_forward(self, meta: Any, now: float, begin: float, end: float) -> None:
        for job, transfer in meta.load_jobs.items():
            assert not transfer.sync
            self.load(job, {transfer.req_id: len(transfer.dst_spec.block_ids)}, now, end)
        self.unsubmitted = tuple(meta.store_jobs.items())

    def report(self, done: list[Sent]) -> Any:
        from vllm.distributed.kv_transfer.kv_connector.v1.offloading.common import (
            OffloadingWorkerMetadata,
        )

        return OffloadingWorkerMetadata({c.what: 1 for c in done})


class LazyWorker(Worker):
    """SimpleCPUOffloadWorker."""

    unsubmitted = ()

    def pre_forward(self, meta: Any, now: float) -> float:
        begin = max([now, *(c.ends_at for c in self.sent)]) if meta.need_flush else now
        if meta.load_event >= 0:
            half = self.engine.scheduler.connector.scheduler_manager
            waiting = meta.load_event_to_reqs[meta.load_event]
            blocks = {i: len(half._reqs_to_load[i].transfer_meta.gpu_block_ids) for i in waiting}
            assert sum(blocks.values()) == len(meta.load_gpu_blocks)
            self.load(meta.load_event, blocks, now, begin)
        return begin

    def post_forward(self, meta: Any, now: float, begin: float, end: float) -> None:
        if meta.store_event >= 0:
            self.send("out", meta.store_event, meta.store_gpu_blocks, now, end)

    def report(self, done: list[Sent]) -> Any:
        from vllm.v1.simple_kv_offload.metadata import SimpleCPUOffloadWorkerMetadata

        stored = {c.what: 1 for c in done if c.owners}
        return SimpleCPUOffloadWorkerMetadata(stored) if stored else None


class Engine:
    """A server of one process in virtual time: requests, steps, and what came of copies."""

    def __init__(self, workload: list[Session], knobs: EngineSettings) -> None:
        from vllm.v1.core.sched.scheduler import Scheduler

        from marsbench.core.sim.vllm_core import make_scheduler

        assert knobs.kv_blocks is not None
        assert knobs.host_kv is not None
        size = HARDWARE.kv_bytes_per_token
        self.scheduler: Any = make_scheduler(
            Scheduler, knobs, knobs.kv_blocks, 8192, kv_bytes_per_token=size
        )
        self.is_lazy = knobs.host_kv.is_lazy
        self.worker: Any = (LazyWorker if self.is_lazy else EagerWorker)(self)
        if not self.is_lazy:
            self.scheduler.connector.connector_scheduler.manager.events = []
        self.now, self.seen = 0.0, list[tuple[Any, ...]]()
        self.due: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.owners: dict[bytes, str] = {}
        self.requests: list[Any] = []
        self.plays: dict[str, tuple[Session, Iterator[Any]]] = {}
        for session in workload:
            self.plays[session.id] = (session, play(session))
            self.at(session.arrival_s, lambda s=session.id: self.go_on(s))

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.due, (when, next(self.order), what))

    def go_on(self, name: str) -> None:
        session, steps = self.plays[name]
        step = next(steps, None)
        if isinstance(step, Generate):
            self.submit(session, step.prompt)
        elif step is not None:
            self.at(self.now + max(c.floor_s for c in step.calls), lambda: self.go_on(name))

    def submit(self, session: Session, prompt: Any) -> None:
        from vllm.sampling_params import SamplingParams
        from vllm.utils.hashing import sha256
        from vllm.v1.core.kv_cache_utils import get_request_block_hasher
        from vllm.v1.request import Request

        request = Request(
            request_id=f"{session.id}#{prompt.round}",
            prompt_token_ids=[self.token(session, n) for n in range(prompt.num_tokens)],
            sampling_params=SamplingParams(max_tokens=prompt.output_tokens, ignore_eos=True),
            pooling_params=None,
            arrival_time=self.now,
            block_hasher=get_request_block_hasher(BLOCK, sha256),
        )
        self.note_owners(session, request)
        self.requests.append(request)
        self.scheduler.add_request(request)

    def token(self, session: Session, position: int) -> int:
        shared = position < session.prefix_tokens
        return position if shared else 10_000 * (1 + int(session.id[1:])) + position

    def note_owners(self, session: Session, request: Any) -> None:
        for number, block_hash in enumerate(request.block_hashes):
            is_own = (number + 1) * BLOCK > session.prefix_tokens
            self.owners[block_hash] = session.id if is_own else f"prefix:{session.prefix_group}"

    def owner(self, block_hash: bytes) -> str:
        if block_hash not in self.owners:  # of tokens generated since
            for request in self.requests:
                self.note_owners(self.plays[request.request_id.split("#")[0]][0], request)
        return self.owners[block_hash]

    def gpu_hash(self, number: int) -> bytes:
        from vllm.v1.core.kv_cache_utils import get_block_hash

        return get_block_hash(self.scheduler.kv_cache_manager.block_pool.blocks[number].block_hash)

    # --- steps

    def play(self) -> list[tuple[Any, ...]]:
        while self.scheduler.has_unfinished_requests() or self.due:
            if self.scheduler.has_requests() or self.worker.sent or self.worker.unsubmitted:
                self.step()
            else:
                self.pass_time(self.due[0][0])
        return self.seen

    def pass_time(self, until: float) -> None:
        while self.due and self.due[0][0] <= until:
            self.now, _, what = heapq.heappop(self.due)
            what()
        self.now = until

    def step(self) -> None:
        held = self.in_host()
        # A set in vLLM, whose order is the process's own, and eager goes through it.
        self.scheduler.finished_req_ids = dict.fromkeys(sorted(self.scheduler.finished_req_ids))
        output, now = self.scheduler.schedule(), self.now
        self.note_dropped(held)
        meta, num_sent = output.kv_connector_metadata, len(self.worker.sent)
        begin = end = self.worker.pre_forward(meta, now)
        if output.total_num_scheduled_tokens:
            seconds = batch_seconds(HARDWARE.step_time, self.works(output))
            end = begin + (seconds + self.worker.slower_s(begin, begin + seconds))
        self.worker.post_forward(meta, now, begin, end)
        self.pass_time(end)
        has_sent = len(self.worker.sent) > num_sent or self.worker.unsubmitted
        has_heard = self.update(output)
        if not (output.total_num_scheduled_tokens or output.preempted_req_ids):
            self.stall(bool(has_sent or has_heard))

    def stall(self, has_moved: bool) -> None:
        """Nothing was computed: unless a copy has begun or ended, all waits for what is next."""
        ends = [copy.ends_at for copy in self.worker.sent] + [when for when, *_ in self.due[:1]]
        if ends and not has_moved:
            self.pass_time(min(ends))

    def works(self, output: Any) -> Iterator[tuple[int, int, bool]]:
        for name, tokens in output.num_scheduled_tokens.items():
            request = self.scheduler.requests[name]
            is_whole = request.num_computed_tokens >= request.num_tokens
            yield tokens, request.num_computed_tokens - tokens, is_whole

    def update(self, output: Any) -> bool:
        """The step is over: its tokens, and the copies that have ended. Whether any had."""
        done = self.worker.finished(self.now)
        self.note_done(done)
        found = self.scheduler.update_from_output(output, self.sampled(output, done))
        for reply in found[0].outputs if 0 in found else ():
            if reply.finish_reason is not None:
                self.go_on(reply.request_id.split("#")[0])
        return bool(done)

    def sampled(self, output: Any, done: list[Sent]) -> Any:
        from vllm.v1.outputs import KVConnectorOutput, ModelRunnerOutput

        names, tokens = list(output.num_scheduled_tokens), []
        for name in names:
            request = self.scheduler.requests[name]
            session = self.plays[name.split("#")[0]][0]
            is_whole = request.num_computed_tokens >= request.num_tokens
            tokens.append([self.token(session, request.num_tokens)] if is_whole else [])
        # A set in vLLM, whose order is the process's own, and lazy's pool frees in that order.
        loaded: Any = dict.fromkeys(name for copy in done for name in copy.requests)
        told = KVConnectorOutput(
            finished_recving=loaded, kv_connector_worker_meta=self.worker.report(done)
        )
        places = {name: number for number, name in enumerate(names)}
        copied = told if done else None
        return ModelRunnerOutput(names, places, tokens, kv_connector_output=copied)

    # --- what is seen

    def note_done(self, done: list[Sent]) -> None:
        for copy in done:
            for owner, blocks in copy.owners.items():
                self.seen.append(("stored", self.now, owner, blocks, blocks * COPY_S))
            for name, blocks in copy.requests.items():
                self.seen.append(("loaded", self.now, name, blocks, self.now - copy.asked_at))

    def in_host(self) -> dict[bytes, None]:
        """Keys in lazy's host pool; the eager connector keeps an account."""
        if not self.is_lazy:
            return {}
        pool = self.scheduler.connector.scheduler_manager.cpu_block_pool
        return dict.fromkeys(b.block_hash for b in pool.blocks if b.block_hash is not None)

    def note_dropped(self, held: dict[bytes, None]) -> None:
        from vllm.v1.core.kv_cache_utils import get_block_hash
        from vllm.v1.kv_offload.base import get_offload_block_hash

        if self.is_lazy:
            left = self.in_host()
            gone = [get_block_hash(key) for key in held if key not in left]
        else:
            manager = self.scheduler.connector.connector_scheduler.manager
            gone = [k for e in manager.events if e.removed for k in e.keys]
            gone = [get_offload_block_hash(key) for key in gone]
            manager.events.clear()
        for owner, blocks in Counter(map(self.owner, gone)).items():
            self.seen.append(("dropped", self.now, owner, blocks, None))


def told(event: Any) -> tuple[Any, ...] | None:
    """An event of the simulator in the oracle's words."""
    if isinstance(event, HostStored):
        return ("stored", event.at, event.owner, event.blocks, event.copy_s)
    if isinstance(event, HostLoaded):
        name = f"{event.session}#{event.round}"
        return ("loaded", event.at, name, event.blocks, event.waited_s)
    if isinstance(event, HostDropped):
        return ("dropped", event.at, event.owner, event.blocks, None)
    return None


def in_turn(seen: list[tuple[Any, ...]], unordered: str) -> list[tuple[Any, ...]]:
    """To a nanosecond; of what is `unordered`, owners within an instant are sorted by name."""
    near = [
        (kind, round(at, 9), who, blocks, None if s is None else round(s, 9))
        for kind, at, who, blocks, s in seen
    ]
    return sorted(near, key=lambda e: (e[1], e[0], e[2] if e[0] == unordered else ""))


@pytest.mark.parametrize(("blocks", "store", "eviction"), CASES)
def test_every_copy_and_eviction_is_that_of_stock_vllm(
    blocks: int, store: str, eviction: str
) -> None:
    host_kv = offloading(blocks, store, eviction=eviction)
    moved: Counter[str] = Counter()
    for seed in range(6):
        workload = sessions(seed)
        extra = (0, 20, 45)[seed % 3]
        ours, _ = played(workload, extra, host_kv)
        kv_blocks = enough_blocks(workload, BLOCK) + extra
        knobs = EngineSettings(256, 8, kv_blocks=kv_blocks, host_kv=host_kv)
        theirs = Engine(workload, knobs).play()
        found = [event for event in map(told, ours) if event is not None]
        # vLLM keeps an eager job's blocks as a set; what lazy drops is seen once a step.
        unordered = "dropped" if host_kv.is_lazy else "stored"
        assert in_turn(found, unordered) == in_turn(theirs, unordered)
        moved.update(kind for kind, *_ in theirs)
    enough = {"stored": 50, "loaded": 5, "dropped": 20 if blocks < 600 else 0}
    assert all(moved[kind] >= least for kind, least in enough.items()), moved
