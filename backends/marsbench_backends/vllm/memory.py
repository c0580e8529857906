"""Blocks for requests, as a policy says: chunks, who yields when there are none, and its victim."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vllm.v1.request import Request, RequestStatus

from marsbench_backends.answers.policy import Answers
from marsbench_backends.policy import Policy
from marsbench_backends.vllm.decisions import Decisions
from marsbench_backends.vllm.pauses import Pauses
from marsbench_backends.vllm.views import EngineView, SchedulerLists, VllmReq


class BlockAllocator:
    """Stands before vLLM's `allocate_slots`, and beside the chunk that it is asked for."""

    def __init__(
        self,
        policy: Policy,
        answers: Answers,
        decisions: Decisions,
        view: EngineView,
        pauses: Pauses,
        engine: SchedulerLists,
        reqs: Mapping[str, VllmReq],
        manager: Any,
    ) -> None:
        self._answers = answers
        self._decisions = decisions
        self._view = view
        self._pauses = pauses
        self._engine = engine
        self._reqs = reqs
        self.vllm_allocate = manager.allocate_slots
        manager.allocate_slots = self.allocate
        self.asks_chunk = type(policy).chunk is not Policy.chunk
        self.shrinks = type(policy).shrink is not Policy.shrink
        self._victim: Request | None = None
        self._unused_hit_blocks = 0

    # --- chunks

    def chunk(self, request: Request, num_computed_tokens: int, tokens: int) -> int:
        """Of the prompt tokens that vLLM would compute in this step, as many as the policy lets."""
        req = self._reqs[request.request_id]
        if self.asks_chunk:
            chunk = self._answers.chunk(req, tokens)
            self._decisions.chunked(req, chunk < tokens)
            tokens = chunk
        if self.shrinks and tokens > 0:
            tokens = self._fit(req, num_computed_tokens, tokens)
        return tokens

    def _fit(self, req: VllmReq, num_computed_tokens: int, tokens: int) -> int:
        """The chunk that the policy wants when the whole one does not fit, holds given up first."""
        while True:
            room = self._room_tokens(req, num_computed_tokens)
            if room >= tokens:
                return tokens
            if not self._reclaim(req):
                chunk = self._answers.shrink(req, tokens, room)
                self._decisions.shrunk(req, req.num_blocks > 0, chunk < tokens)
                return chunk

    def _room_tokens(self, req: VllmReq, num_computed_tokens: int) -> int:
        view = self._view
        held = req.num_blocks or num_computed_tokens // view.block_size
        # A waiting request's cached blocks leave the free list when it takes them.
        taken = 0 if req.num_blocks else self._unused_hit_blocks
        free = view.free_blocks - taken
        return max(0, (held + free) * view.block_size - num_computed_tokens)

    def found_prefix(self, blocks: Any) -> None:
        """vLLM looked up a waiting request's prefix, and found these."""
        self._unused_hit_blocks = sum(b.ref_cnt == 0 for b in blocks)

    # --- blocks

    def allocate(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """vLLM's, tried again as long as a hold is given up; then a victim is named."""
        blocks = self.vllm_allocate(request, *args, **kwargs)
        if blocks is not None:
            return blocks
        req = self._reqs[request.request_id]
        while blocks is None and self._reclaim(req):
            blocks = self.vllm_allocate(request, *args, **kwargs)
        if blocks is None and self._blocks_itself(req):
            self._pauses.drop(req.session_id, "revoked")
            blocks = self.vllm_allocate(request, *args, **kwargs)
        if blocks is None and request.status == RequestStatus.RUNNING:
            self._name_victim()
        return blocks

    def _reclaim(self, needs: VllmReq) -> bool:
        pauses = self._pauses
        return bool(pauses.holds) and pauses.reclaim(needs, bool(self._engine.running))

    def _blocks_itself(self, req: VllmReq) -> bool:
        """Whether nothing is left to wait for but the request's own session's hold.

        Its context was cut, so that it needs new blocks; those it still has of it stay cached.
        """
        holds = self._pauses.holds
        if self._engine.running or holds.next_expiry < math.inf:
            return False
        return req.session_id in holds

    def _name_victim(self) -> None:
        """vLLM preempts the largest (priority, arrival_time), which it reads after this."""
        victim = self._answers.victim(self._view.running)
        running = (self._reqs[r.request_id] for r in self._engine.running)
        self._decisions.preempts(self._reqs[victim.request_id], running)
        self.spare_victim()
        self._victim = self._engine.requests[victim.request_id]
        self._victim.priority = 1

    def spare_victim(self) -> None:
        """Nobody is the victim any more."""
        if self._victim is not None:
            self._victim.priority = 0
        self._victim = None
