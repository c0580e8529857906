"""vLLM's requests and scheduler as a policy sees them: read through, never written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vllm.v1.request import Request

from marsbench_backends.policy import Paused, Req
from marsbench_backends.vllm.decisions import Marks
from marsbench_backends.vllm.rounds import RoundInfo

if TYPE_CHECKING:
    from marsbench_backends.scheduler import PolicyMixin


class VllmReq:
    """A vLLM request as a policy sees it: read through, never written."""

    __slots__ = (
        *("_blocks", "_request", "info", "marks"),
        *("position", "session_id", "started", "submitted_at"),
    )

    def __init__(self, request: Request, blocks: Mapping[str, list[Any]], now: float) -> None:
        self._request = request
        self._blocks = blocks
        self.info = RoundInfo.of(request)
        self.session_id = self.info.session_id
        self.submitted_at = now
        self.position = 0
        self.started = False
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
    def num_blocks(self) -> int:
        return len(self._blocks.get(self._request.request_id, ()))

    @property
    def num_preemptions(self) -> int:
        return self._request.num_preemptions

    @property
    def decoding(self) -> bool:
        return self._request.num_output_tokens > 0 and not self._request.is_prefill_chunk


class EngineView:
    """The scheduler as a policy sees it."""

    def __init__(self, scheduler: PolicyMixin) -> None:
        self._scheduler = scheduler
        self._pool = scheduler.kv_cache_manager.block_pool
        self.block_size = scheduler.block_size
        self.num_blocks = self._pool.num_gpu_blocks - 1  # vLLM keeps one null block
        self.token_budget = scheduler.max_num_scheduled_tokens

    @property
    def now(self) -> float:
        return self._scheduler.clock()

    @property
    def free_blocks(self) -> int:
        return int(self._pool.get_num_free_blocks())

    @property
    def running(self) -> Sequence[Req]:
        # A request that has just ended is in vLLM's list until all outputs of the step are read.
        reqs = self._scheduler.reqs
        running = (r.request_id for r in self._scheduler.running)
        return [reqs[i] for i in running if i in reqs]

    @property
    def waiting(self) -> Sequence[Req]:
        return [self._scheduler.req(r) for r in self._scheduler.waiting]

    @property
    def paused(self) -> Mapping[str, Paused]:
        return self._scheduler.paused

    def prefill_s(self, num_tokens: int, prefix_tokens: int = 0) -> float:
        return self._scheduler.cost.prefill_s(num_tokens, prefix_tokens)

    def swap_s(self, num_tokens: int) -> float:
        return self._scheduler.cost.swap_s(num_tokens)

    @property
    def host_free_blocks(self) -> int:
        host = self._scheduler.host
        return 0 if host is None else host.memory.free_blocks

    @property
    def link_free_at(self) -> float:
        host = self._scheduler.host
        return math.inf if host is None else host.out.free_at
