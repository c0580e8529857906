"""vLLM's requests and scheduler as a policy sees them: read through, never written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Protocol

from vllm.v1.core.kv_cache_utils import make_block_hash_with_group_id
from vllm.v1.request import Request, RequestStatus

from marsbench_backends.cost import EngineCost
from marsbench_backends.policy import Paused, Req, Whereabouts
from marsbench_backends.vllm.decisions import Marks
from marsbench_backends.vllm.rounds import RoundInfo
from marsbench_backends.vllm.tier import HostTier


class SchedulerLists(Protocol):
    """What is read of vLLM's scheduler, whose lists it replaces as it goes."""

    running: list[Any]
    waiting: Iterable[Any]
    requests: Mapping[str, Any]
    kv_cache_manager: Any


class PrefixCache:
    """vLLM's look-up of a request's prefix, without what it tells others of it.

    `KVCacheManager.get_computed_blocks` may emit events and the scheduler keeps statistics of it;
    the coordinator's look-up, which both ask, only reads (tests/sim/test_vllm_seams.py).
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self.req_blocks: Mapping[str, list[Any]] = manager.coordinator.single_type_managers[
            0
        ].req_to_blocks

    def num_cached_tokens(self, request: Request) -> int:
        """Tokens that a waiting request would find computed if it began now."""
        if request.num_computed_tokens:
            return int(request.num_computed_tokens)  # loaded from elsewhere: it holds the blocks
        manager = self._manager
        if not manager.prefix_cache_lookup_enabled(request):
            return 0
        # The last token is always computed, for its logits.
        longest = request.num_tokens - 1
        return int(manager.coordinator.find_longest_cache_hit(request.block_hashes, longest)[1])


def keys_of(block_hashes: Any) -> list[Any]:
    """As the prefix cache knows blocks: by hash and KV cache group. The simulator keeps both."""
    keys: list[Any] | None = getattr(block_hashes, "keys", None)
    return [make_block_hash_with_group_id(h, 0) for h in block_hashes] if keys is None else keys


@dataclass(slots=True)
class VllmReq:
    """A vLLM request as a policy sees it.

    num_found_tokens: computed already when it last began to run; None before that is told.
    """

    request: Request
    cache: PrefixCache
    submitted_at: float
    info: RoundInfo = field(init=False)
    session_id: str = field(init=False)
    position: int = 0
    started: bool = False
    num_found_tokens: int | None = None
    marks: Marks = field(default_factory=Marks)

    request_id = property(attrgetter("request.request_id"))
    round = property(attrgetter("info.round"))
    tenant = property(attrgetter("info.tenant"))
    num_prompt_tokens = property(attrgetter("request.num_prompt_tokens"))
    num_tokens = property(attrgetter("request.num_tokens"))
    num_computed_tokens = property(attrgetter("request.num_computed_tokens"))
    num_preemptions = property(attrgetter("request.num_preemptions"))

    def __post_init__(self) -> None:
        self.info = RoundInfo.of(self.request)
        self.session_id = self.info.session_id

    @property
    def cached_tokens(self) -> int:
        if self.request.status != RequestStatus.RUNNING:
            return self.cache.num_cached_tokens(self.request)
        # Within the step that starts it nothing has been computed yet.
        found = self.num_found_tokens
        return self.request.num_computed_tokens if found is None else found

    @property
    def num_blocks(self) -> int:
        return len(self.cache.req_blocks.get(self.request.request_id, ()))

    @property
    def decoding(self) -> bool:
        return self.request.num_output_tokens > 0 and not self.request.is_prefill_chunk


@dataclass
class EngineView:
    """The scheduler as a policy sees it; `now` is the one clock that the adapter reads.

    contexts: block hashes and tokens of each paused session.
    """

    engine: SchedulerLists
    pool: Any
    block_size: int
    token_budget: int
    reqs: Mapping[str, VllmReq]
    clock: Callable[[], float]
    cost: EngineCost
    host: HostTier | None
    paused: dict[str, Paused] = field(default_factory=dict)
    contexts: dict[str, tuple[Any, int]] = field(default_factory=dict)

    @property
    def num_blocks(self) -> int:
        return int(self.pool.num_gpu_blocks) - 1  # vLLM keeps one null block

    @property
    def now(self) -> float:
        return self.clock()

    @property
    def free_blocks(self) -> int:
        return int(self.pool.get_num_free_blocks())

    @property
    def running(self) -> Sequence[Req]:
        # A request that has just ended is in vLLM's list until all outputs of the step are read.
        reqs = self.reqs
        running = (r.request_id for r in self.engine.running)
        return [reqs[i] for i in running if i in reqs]

    @property
    def waiting(self) -> Sequence[Req]:
        return [self.reqs[r.request_id] for r in self.engine.waiting]

    def prefill_s(self, num_tokens: int, prefix_tokens: int = 0) -> float:
        return self.cost.prefill_s(num_tokens, prefix_tokens)

    def swap_s(self, num_tokens: int) -> float:
        return self.cost.swap_s(num_tokens)

    @property
    def host_free_blocks(self) -> int:
        return 0 if self.host is None else self.host.free_blocks

    @property
    def link_free_at(self) -> float:
        return math.inf if self.host is None else self.host.link_free_at

    def whereabouts(self, session_id: str) -> Whereabouts:
        hashes, total = self._context(session_id)
        size, in_host = self.block_size, 0
        on_gpu = min(total, self.lookup(hashes, total)) if total else 0
        if self.host is not None:
            keys = keys_of(hashes)[on_gpu // size : total // size]
            in_host = min(total - on_gpu, self.host.matches(keys) * size)
        lost = total - on_gpu - in_host
        costs = (self.swap_s(in_host), self.prefill_s(lost, total - lost) if lost else 0.0)
        return Whereabouts(on_gpu, in_host, lost, *costs)

    def _context(self, session_id: str) -> tuple[Any, int]:
        for req in self.reqs.values():
            if req.session_id == session_id:
                return req.request.block_hashes, int(req.request.num_tokens)
        return self.contexts.get(session_id, ((), 0))

    def lookup(self, block_hashes: Any, num_tokens: int) -> int:
        """Tokens of whole blocks that are in the GPU's cache, from the first on."""
        coordinator = self.engine.kv_cache_manager.coordinator
        return int(coordinator.find_longest_cache_hit(block_hashes, num_tokens)[1])
