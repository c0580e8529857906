"""vLLM's requests and scheduler as a policy sees them: read through, never written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from vllm.v1.request import Request, RequestStatus

from marsbench_backends.cost import EngineCost
from marsbench_backends.policy import Paused, Req
from marsbench_backends.vllm.decisions import Marks
from marsbench_backends.vllm.host import HostConnector
from marsbench_backends.vllm.rounds import RoundInfo


class SchedulerLists(Protocol):
    """What is read of vLLM's scheduler, whose lists it replaces as it goes."""

    running: list[Any]
    waiting: Iterable[Any]
    requests: Mapping[str, Any]


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


class VllmReq:
    """A vLLM request as a policy sees it."""

    __slots__ = (
        *("_cache", "_request", "info", "marks", "num_found_tokens"),
        *("position", "session_id", "started", "submitted_at"),
    )

    def __init__(self, request: Request, cache: PrefixCache, now: float) -> None:
        self._request = request
        self._cache = cache
        self.info = RoundInfo.of(request)
        self.session_id = self.info.session_id
        self.submitted_at = now
        self.position = 0
        self.started = False
        self.num_found_tokens: int | None = None  # as it last began to run
        self.marks = Marks()

    @property
    def request_id(self) -> str:
        return self._request.request_id

    @property
    def round(self) -> int:
        return self.info.round

    @property
    def num_prompt_tokens(self) -> int:
        return self._request.num_prompt_tokens

    @property
    def num_tokens(self) -> int:
        return self._request.num_tokens

    @property
    def num_computed_tokens(self) -> int:
        return self._request.num_computed_tokens

    @property
    def cached_tokens(self) -> int:
        if self._request.status != RequestStatus.RUNNING:
            return self._cache.num_cached_tokens(self._request)
        # Within the step that starts it nothing has been computed yet.
        found = self.num_found_tokens
        return self._request.num_computed_tokens if found is None else found

    @property
    def num_blocks(self) -> int:
        return len(self._cache.req_blocks.get(self._request.request_id, ()))

    @property
    def num_preemptions(self) -> int:
        return self._request.num_preemptions

    @property
    def decoding(self) -> bool:
        return self._request.num_output_tokens > 0 and not self._request.is_prefill_chunk


class EngineView:
    """The scheduler as a policy sees it; `now` is the one clock that the adapter reads."""

    def __init__(
        self,
        engine: SchedulerLists,
        pool: Any,
        sizes: tuple[int, int],
        reqs: Mapping[str, VllmReq],
        clock: Callable[[], float],
        cost: EngineCost,
        host: HostConnector | None,
    ) -> None:
        """sizes: tokens of a block, and those that a step may compute."""
        self._engine = engine
        self._pool = pool
        self._reqs = reqs
        self._clock = clock
        self._cost = cost
        self._host = host
        self.block_size, self.token_budget = sizes
        self.num_blocks = pool.num_gpu_blocks - 1  # vLLM keeps one null block
        self.paused: dict[str, Paused] = {}

    @property
    def now(self) -> float:
        return self._clock()

    @property
    def free_blocks(self) -> int:
        return int(self._pool.get_num_free_blocks())

    @property
    def running(self) -> Sequence[Req]:
        # A request that has just ended is in vLLM's list until all outputs of the step are read.
        reqs = self._reqs
        running = (r.request_id for r in self._engine.running)
        return [reqs[i] for i in running if i in reqs]

    @property
    def waiting(self) -> Sequence[Req]:
        return [self._reqs[r.request_id] for r in self._engine.waiting]

    def prefill_s(self, num_tokens: int, prefix_tokens: int = 0) -> float:
        return self._cost.prefill_s(num_tokens, prefix_tokens)

    def swap_s(self, num_tokens: int) -> float:
        return self._cost.swap_s(num_tokens)

    @property
    def host_free_blocks(self) -> int:
        return 0 if self._host is None else self._host.memory.free_blocks

    @property
    def link_free_at(self) -> float:
        return math.inf if self._host is None else self._host.out.free_at
