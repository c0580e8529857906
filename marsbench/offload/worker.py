"""vLLM's own offloading connector in the simulator: its scheduler half, and a modelled worker.

The connector is vLLM's, made by vLLM from its configuration and asked by vLLM's scheduler. What
its workers do on a real GPU is played here on a `Link`: when a copy begins, when it is reported
(at the end of a step, where a worker says what has ended), and what it costs a step. A copy takes
`cost` bytes of the GPU's memory bandwidth for each byte that it moves.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import isabstract
from typing import Any, NamedTuple

from vllm.distributed.kv_transfer.kv_connector.factory import KVConnectorFactory
from vllm.v1.kv_offload.cpu.policies.base import CachePolicy
from vllm.v1.outputs import KVConnectorOutput

from marsbench.errors import UsageError
from marsbench.extras import look_here_too
from marsbench.offload.host_kv import EVICTIONS, HostKv, check_size
from marsbench.offload.link import Copy
from marsbench.offload.modelled import ModelledWorker
from marsbench.shortcuts.keys import by_writer_bytes, writer_of, writers
from marsbench_backends.vllm.host import Load

NONE_DROPPED: Mapping[int, int] = {}


def check_offload(host_kv: HostKv, block_bytes: float) -> None:
    """Raises UsageError where this vLLM has no such connector, the class is no eviction, or the
    memory holds no block.
    """
    check_size(host_kv, block_bytes)
    if host_kv.connector not in KVConnectorFactory._registry:
        raise UsageError(
            f"This vLLM has no {host_kv.connector}, which --host-kv is; use vLLM 0.33.0, or leave "
            "--host-kv out."
        )
    check_eviction(host_kv)


def check_eviction(host_kv: HostKv) -> None:
    """Raises UsageError where a third party's class is none that vLLM could ask."""
    if not host_kv.evicts_by_class:
        return
    found = _imported(host_kv.eviction)
    if not (isinstance(found, type) and issubclass(found, CachePolicy)) or isabstract(found):
        raise UsageError(
            f"--host-kv-eviction {host_kv.eviction} is no class of vLLM's CachePolicy "
            f"(vllm.v1.kv_offload.cpu.policies.base); give {', '.join(EVICTIONS)}, or a class that "
            "can be imported from here."
        )


def _imported(path: str) -> object:
    """What lies at a dotted path. Raises UsageError where its module cannot be imported."""
    module, _, name = path.rpartition(".")
    look_here_too()
    try:
        return getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError:
        return None
    except Exception as error:
        raise UsageError(
            f"--host-kv-eviction {path}: {module} cannot be imported ({type(error).__name__}: "
            f"{error}); mend it, or give {', '.join(EVICTIONS)}."
        ) from error


class StepCopies(NamedTuple):
    """Of one step: blocks that host memory dropped as it began, and copies reported at its end."""

    dropped: Mapping[int, int]
    done: list[Copy]


@dataclass(frozen=True, slots=True)
class Swapped:
    """What a policy asked to be copied, as the connector's own books know it."""

    book: Any


class Offload(ABC):
    """What both connectors share: a modelled worker, and what the simulator asks beside it.

    worker: what it does to the link. loading: requests whose load is under way, and when it ends.
    """

    def __init__(self, scheduler: Any, worker: ModelledWorker) -> None:
        self._scheduler = scheduler
        self.connector = scheduler.connector
        self.worker = worker
        self.link = worker.link
        self.loading = worker.loading
        self._clock = worker.clock
        self._block_size: int = scheduler.block_size
        self.loads: dict[str, Load] = {}
        self._dropped: Counter[int] = Counter()
        self._touched: set[bytes] = set()
        self._writers: dict[str, frozenset[bytes]] = {}
        self._allocated = self.connector.update_state_after_alloc
        self.connector.update_state_after_alloc = self._watch_load

    @abstractmethod
    def quicken(self, compiled: bool) -> None:
        """Take faster loops, which decide the same; those over blocks compiled, if they are."""

    # --- what has come of copies

    def take_dropped(self) -> Mapping[int, int]:
        """Blocks of each writer that host memory has dropped since the last take."""
        if not self._dropped:
            return NONE_DROPPED
        dropped, self._dropped = self._dropped, Counter()
        return dropped

    def take_done(self, now: float) -> tuple[list[Copy], KVConnectorOutput | None]:
        """The copies that have ended by now, and the worker's report of them to vLLM."""
        done = self.link.take(now)
        if not done:
            return [], None
        jobs = [copy for copy in done if copy.is_job]
        for copy in done:
            self.touch(copy.keys)
            if not copy.is_job:
                self._swapped(copy)
        return done, self.worker.report(jobs) if jobs else None

    @abstractmethod
    def _swapped(self, copy: Copy) -> None:
        """A copy that a policy asked for has ended."""

    # --- macro steps

    def may_merge(self) -> bool:
        """Whether copies leave the next steps alike."""
        return len(self._scheduler.kv_holding_waiting) <= len(self.loading)

    def touch(self, keys: Sequence[bytes]) -> None:
        """These blocks have come to host memory, or will; each writer's are side by side."""
        self._touched |= writers(keys)

    def waiting_writers(self) -> set[bytes]:
        """Who wrote the blocks of the prompts that wait."""
        waiting = list(self._scheduler.waiting)
        self._writers = {r.request_id: self._writers_of(r) for r in waiting}
        return set().union(*self._writers.values())

    def _writers_of(self, request: Any) -> frozenset[bytes]:
        known = self._writers.get(request.request_id)
        if known is not None:
            return known
        return frozenset(writers(request.block_hashes.keys))

    def changed_for_waiting(self) -> bool:
        """Whether host memory has changed, since this was asked, for a request that waits."""
        if not self._touched:
            return False
        touched, self._touched = self._touched, set()
        return not touched.isdisjoint(self.waiting_writers())

    @property
    @abstractmethod
    def limit(self) -> float:
        """When the next copy ends that may change what is scheduled."""

    def rehearse(
        self, pattern: Any, seconds: Sequence[float], now: float, limit: float
    ) -> tuple[list[float], dict[int, StepCopies]]:
        """The ends of the steps of a macro step, and what copies do in each of them."""
        ends: list[float] = []
        for each in seconds:
            now = self.worker.end_of(now, each)
            ends.append(now)
            if now >= limit:
                break
        return ends, {}

    def scheduled(self, pattern: Any) -> None:  # noqa: B027  (one that has nothing to do)
        """The macro step that was rehearsed has been scheduled."""

    # --- what the adapter asks (backends/marsbench_backends/vllm/tier.py)

    @property
    def next_arrival(self) -> float:
        return min(self.loading.values()) if self.loading else float("inf")

    def take_arrived(self, now: float) -> None:  # noqa: B027  (one that has nothing to do)
        """Nothing: ended loads are in the report of a step."""

    def _watch_load(self, request: Any, blocks: Any, num_external_tokens: int) -> None:
        self._allocated(request, blocks, num_external_tokens)
        if num_external_tokens:
            held = len(blocks.blocks[0]) * self._block_size
            load = Load(held - num_external_tokens, num_external_tokens)
            self.loads[request.request_id] = load
            self.loading[request.request_id] = float("inf")  # not on the link yet

    def take_loaded(self, request_id: str, num_found: int) -> int:
        """Of the tokens that a request finds computed as it starts, how many had been loaded."""
        load = self.loads.pop(request_id, None)
        return 0 if load is None else max(0, num_found - load.gpu_tokens)

    @property
    def link_free_at(self) -> float:
        return self.link.out.free_at

    @property
    @abstractmethod
    def free_blocks(self) -> int:
        """Blocks that can be stored now: those without contents, and those that may be dropped."""

    def matches(self, keys: Sequence[bytes]) -> int:
        """How many of these blocks, from the first on and without a gap, are in host memory."""
        found = 0
        for key in keys:
            if not self._has(key):
                break
            found += 1
        return found

    @abstractmethod
    def _has(self, key: bytes) -> bool:
        """Whether host memory has this block, whole."""

    @abstractmethod
    def swap_out(self, session_id: str, blocks: Sequence[Any]) -> float:
        """Copy what host memory lacks of a paused session; returns when all of it is there."""

    def _swap_ends_at(self, keys: Sequence[bytes], own: Copy | None) -> float:
        wanted = set(keys)
        others = [c.ends_at for c in self.link.under_way if wanted.intersection(c.keys)]
        return max([self._clock(), *others, *([own.ends_at] if own else [])])

    def leave(self, session_id: str, keys: Sequence[bytes]) -> Counter[str]:
        """The session's blocks leave the GPU: how many of them host memory does not have.

        It has those, too, whose copy has ended and is not reported yet.
        """
        copied = {key for copy in self.link.under_way if copy.is_store for key in copy.keys}
        lost = sum(key not in copied and not self._has(key) for key in keys)
        return +Counter({session_id: lost})

    def forget(self, session_id: str) -> None:  # noqa: B027  (one that has nothing to do)
        """The session has ended. vLLM's host memory keeps its blocks until they are evicted."""

    # --- books

    def note_dropped(self, keys: Iterable[bytes]) -> None:
        """These blocks have left host memory."""
        found = by_writer_bytes(keys)
        self._touched |= found.keys()
        self._dropped.update({writer_of(writer): blocks for writer, blocks in found.items()})

    def gpu_blocks_in_transfer(self) -> set[int]:
        """Ids of blocks that only the connector keeps on the GPU, or others too."""
        return set()

    @abstractmethod
    def host_books(self) -> tuple[int, int, int]:
        """Blocks of host memory: empty, with contents or promised them, all."""
