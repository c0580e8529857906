"""Copies between the emulated GPU and host memory, on the wall clock (`--host-kv`).

The connector is vLLM's, made by vLLM for its scheduler; its worker is the modelled one of
marsbench/offload. As vLLM's does it looks which copies have ended as it launches a step, so that
the scheduler hears of them with that step's tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from vllm.distributed.kv_transfer.kv_connector.v1.offloading.common import (
    OffloadingWorkerMetadata,
)
from vllm.v1.outputs import KVConnectorOutput

from marsbench.clock import monotonic
from marsbench.hardware.profile import Hardware
from marsbench.offload.link import Copy, Link
from marsbench.offload.modelled import EagerWorker, LazyWorker


class Launched(NamedTuple):
    """A step: when the GPU has computed it, when its launch is over, what vLLM is told of copies.

    An empty step computes nothing, and is over with its launch.
    """

    ends_at: float
    launched_at: float
    copied: KVConnectorOutput | None = None


class Copies(Protocol):
    """What a step does to host memory."""

    def launch(self, meta: Any, now: float, free_at: float, seconds: float) -> Launched:
        """Launch a step that takes so long without copies beside it (0: it computes nothing).

        meta: the connector's message to its worker. free_at: when the GPU has computed the step
            before. All in seconds of the wall clock.
        """


class NoCopies:
    """Without host memory a step follows the one before."""

    def launch(self, meta: Any, now: float, free_at: float, seconds: float) -> Launched:
        """As `Copies` says."""
        return Launched(max(now, free_at) + seconds, now)


class HostCopies:
    """Two lanes of the profile's link."""

    def __init__(
        self, connector: Any, hardware: Hardware, block_size: int, cost: float, speed: float
    ) -> None:
        """cost: as in HostKv. speed: how many emulated seconds pass in one of the clock."""
        self._block_bytes = block_size * hardware.kv_bytes_per_token
        link = Link(lambda blocks: hardware.swap_s(blocks * block_size) / speed)
        share = cost * hardware.host_link_share
        half = getattr(connector, "connector_scheduler", None)
        kind = LazyWorker if half is None else EagerWorker
        self._worker = kind(half or connector.scheduler_manager, link, monotonic, share)

    def launch(self, meta: Any, now: float, free_at: float, seconds: float) -> Launched:
        """As `Copies` says."""
        worker = self._worker
        asked_at = max(now, free_at) if worker.follows_steps else now
        waited_until = worker.begin(meta, asked_at)
        begin = max(waited_until, free_at)
        end = worker.end_of(begin, seconds) if seconds else begin
        worker.launch(meta, begin, end)
        # Who waits for copies launches the step when they have ended, and looks then.
        launched_at = waited_until if waited_until > asked_at else now
        return Launched(end, launched_at, self._told(worker.link.take(launched_at)))

    def _told(self, done: list[Copy]) -> KVConnectorOutput | None:
        if not done:
            return None
        told = self._worker.report(done)
        if isinstance(told.kv_connector_worker_meta, OffloadingWorkerMetadata):
            self._count(told.kv_connector_worker_meta.transfer_stats, done)
        return told

    def _count(self, stats: Any, done: Iterable[Copy]) -> None:
        """Bytes and seconds of copies, as vLLM's worker has them for /metrics."""
        for copy in done:
            lane = stats.store if copy.is_store else stats.load
            lane.record(int(len(copy.keys) * self._block_bytes), copy.ends_at - copy.begins_at)
