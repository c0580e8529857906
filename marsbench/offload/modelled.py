"""The workers of vLLM's two connectors, modelled: what they do to the link, and what they report.

They know what a step asks of its worker, and nothing of whose clock passes: the simulator plays
them in virtual time (eager.py, lazy.py), the emulated GPU of a server on the wall clock
(marsbench/serve/vllm_copies.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from vllm.distributed.kv_transfer.kv_connector.v1.offloading.common import (
    OffloadingWorkerMetadata,
)
from vllm.v1.outputs import KVConnectorOutput
from vllm.v1.simple_kv_offload.metadata import SimpleCPUOffloadWorkerMetadata

from marsbench.offload.link import Copy, Link


class ModelledWorker(ABC):
    """What both share; each says how it begins copies and hears of their ends.

    half: the scheduler's half of the connector, which knows the keys of blocks. slow_share:
        seconds that a step is longer for each second of a copy beside it.
    loading: requests whose load is under way, and when it ends.
    follows_steps: whether copies that begin with a step wait for the step before it (they are
        queued behind what the GPU computes); else they begin as they are asked for.
    """

    follows_steps: bool

    def __init__(
        self, half: Any, link: Link, clock: Callable[[], float], slow_share: float
    ) -> None:
        self.half = half
        self.link = link
        self.clock = clock
        self._slow_share = slow_share
        self.loading: dict[str, float] = {}

    @abstractmethod
    def begin(self, meta: Any, now: float) -> float:
        """A step's copies are known: when it may compute, after those that it has to wait for."""

    @abstractmethod
    def launch(self, meta: Any, begin: float, end: float) -> None:
        """The step computes from `begin` to `end` (the same instant where it computes nothing)."""

    def end_of(self, begin: float, seconds: float) -> float:
        """The end of a step that would take so long without copies beside it."""
        busy_s = self.link.busy_s(begin, begin + seconds) if self.link.under_way else 0.0
        return begin + (seconds + busy_s * self._slow_share) if busy_s else begin + seconds

    @property
    @abstractmethod
    def is_idle(self) -> bool:
        """Whether a further call of `schedule()`, at this instant, would begin no copy."""

    @abstractmethod
    def report(self, done: Sequence[Copy]) -> KVConnectorOutput:
        """What vLLM is told of copies that have ended, all of them the connector's."""

    def _arrived(self, done: Iterable[Copy]) -> dict[str, None]:
        """The requests whose loads have ended, in the order of their ends."""
        loaded = {request_id: None for copy in done for request_id, _ in copy.loads}
        for request_id in loaded:
            del self.loading[request_id]
        return loaded


class EagerWorker(ModelledWorker):
    """OffloadingConnector's (vllm/distributed/kv_transfer/kv_connector/v1/offloading/worker.py).

    Stores are submitted as the next step begins, before it is launched, and so run beside it.
    Loads are submitted when their step has been launched; they wait for the GPU's stream, and so
    run after it. Before a step computes it waits for the stores of blocks that were handed out
    again.
    """

    follows_steps = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.deferred: list[int] = []

    def begin(self, meta: Any, now: float) -> float:
        flushed = meta.jobs_to_flush or ()
        fresh = [job for job in sorted(flushed) if meta.store_jobs.pop(job, None) is not None]
        self.deferred += fresh
        self.submit_stores(now)
        waits = [c.ends_at for c in self.link.under_way if c.is_job and c.what in flushed]
        return max([now, *waits])

    def submit_stores(self, at: float) -> None:
        """Begin the stores of the step before."""
        for job in self.deferred:
            self.link.send(job, self._keys(job), at, at)
        self.deferred.clear()

    def _keys(self, job: int) -> tuple[bytes, ...]:
        """Of a job's blocks; vLLM keeps them as a set, in an order of the process's own."""
        return tuple(sorted(self.half._jobs[job].keys))

    def launch(self, meta: Any, begin: float, end: float) -> None:
        for job, transfer in meta.load_jobs.items():
            keys = self._keys(job)
            loads = ((transfer.req_id, len(keys)),)
            copy = self.link.send(job, keys, end, self.clock(), loads)
            self.loading[transfer.req_id] = copy.ends_at
        self.deferred += meta.store_jobs

    @property
    def is_idle(self) -> bool:
        return not self.deferred

    def report(self, done: Sequence[Copy]) -> KVConnectorOutput:
        meta = OffloadingWorkerMetadata()
        for copy in done:
            meta.mark_completed(copy.what)
        loaded: Any = self._arrived(done)
        return KVConnectorOutput(finished_recving=loaded, kv_connector_worker_meta=meta)


class LazyWorker(ModelledWorker):
    """SimpleCPUOffloadConnector's (vllm/v1/simple_kv_offload/worker.py).

    Loads begin when their step is launched, and run beside it; stores wait until it has been
    computed. A preemption waits for all copies under way.
    """

    follows_steps = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._launched = False

    def begin(self, meta: Any, now: float) -> float:
        ends = [copy.ends_at for copy in self.link.under_way] if meta.need_flush else []
        begin = max([now, *ends])
        if meta.load_event >= 0:
            self._load(meta, begin, now)
        return begin

    def _load(self, meta: Any, begin: float, now: float) -> None:
        keys = self._keys(self.half.cpu_block_pool, meta.load_cpu_blocks)
        waiting = meta.load_event_to_reqs[meta.load_event]
        loads = tuple((i, self._num_loaded(i)) for i in waiting)
        copy = self.link.send(meta.load_event, keys, begin, now, loads)
        for request_id in waiting:
            self.loading[request_id] = copy.ends_at

    def launch(self, meta: Any, begin: float, end: float) -> None:
        self._launched = meta.store_event >= 0 or meta.load_event >= 0
        if meta.store_event >= 0:
            keys = self._keys(self.half._gpu_block_pool, meta.store_gpu_blocks)
            self.link.send(meta.store_event, keys, end, self.clock())

    def launched_nothing(self) -> None:
        """A macro step begins no copy."""
        self._launched = False

    def _num_loaded(self, request_id: str) -> int:
        return len(self.half._reqs_to_load[request_id].transfer_meta.gpu_block_ids)

    def _keys(self, pool: Any, block_ids: Iterable[int]) -> tuple[bytes, ...]:
        return tuple(pool.blocks[number].block_hash for number in block_ids)

    @property
    def is_idle(self) -> bool:
        return not self._launched

    def report(self, done: Sequence[Copy]) -> KVConnectorOutput:
        stored = {copy.what: 1 for copy in done if copy.is_store}
        meta = SimpleCPUOffloadWorkerMetadata(completed_store_events=stored) if stored else None
        loaded: Any = self._arrived(done)
        return KVConnectorOutput(finished_recving=loaded, kv_connector_worker_meta=meta)
