"""Blocks for requests, as a policy says: chunks, who yields when there are none, and its victim."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vllm.v1.request import Request, RequestStatus

from marsbench_backends.answers.policy import Answers
from marsbench_backends.vllm.decisions import Decisions
from marsbench_backends.vllm.pauses import Pauses
from marsbench_backends.vllm.views import SchedulerLists, VllmReq


@dataclass
class BlockAllocator:
    """Stands before vLLM's `allocate_slots`, and beside the chunk that it is asked for."""

    answers: Answers
    decisions: Decisions
    pauses: Pauses
    engine: SchedulerLists
    reqs: Mapping[str, VllmReq]
    vllm_allocate: Callable[..., Any]
    _victim: Request | None = None
    _unused_hit_blocks: int = 0

    def __post_init__(self) -> None:
        self.asks_chunk = self.answers.overrides("chunk")
        self.shrinks = self.answers.overrides("shrink")

    # --- chunks

    def chunk(self, request: Request, num_computed_tokens: int, tokens: int) -> int:
        """Of the prompt tokens that vLLM would compute in this step, as many as the policy lets."""
        req = self.reqs[request.request_id]
        if self.asks_chunk:
            chunk = self.answers.chunk(req, tokens)
            self.decisions.chunked(req, chunk < tokens)
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
                chunk = self.answers.shrink(req, tokens, room)
                self.decisions.shrunk(req, req.num_blocks > 0, chunk < tokens)
                return chunk

    def _room_tokens(self, req: VllmReq, num_computed_tokens: int) -> int:
        view = self.answers.view
        held = req.num_blocks or num_computed_tokens // view.block_size
        # A waiting request's cached blocks leave the free list when it takes them.
        taken = 0 if req.num_blocks else self._unused_hit_blocks
        free = view.free_blocks - taken
        return max(0, (held + free) * view.block_size - num_computed_tokens)

    def found_prefix(self, blocks: Any) -> None:
        """vLLM looked up a waiting request's prefix, and found these."""
        self._unused_hit_blocks = [b.ref_cnt for b in blocks].count(0)

    # --- blocks

    def allocate(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """vLLM's, tried again as long as a hold is given up; then a victim is named."""
        blocks = self.vllm_allocate(request, *args, **kwargs)
        if blocks is not None:
            return blocks
        req = self.reqs[request.request_id]
        while blocks is None and self._reclaim(req):
            blocks = self.vllm_allocate(request, *args, **kwargs)
        if blocks is None and self._blocks_itself(req):
            self.pauses.drop(req.session_id, "revoked")
            blocks = self.vllm_allocate(request, *args, **kwargs)
        if blocks is None and request.status == RequestStatus.RUNNING:
            self._name_victim()
        return blocks

    def _reclaim(self, needs: VllmReq) -> bool:
        pauses = self.pauses
        return bool(pauses.holds) and pauses.reclaim(needs, bool(self.engine.running))

    def _blocks_itself(self, req: VllmReq) -> bool:
        """Whether nothing is left to wait for but the request's own session's hold.

        Its context was cut, so that it needs new blocks, and its policy may renew the hold for
        ever. What it still has of its context stays cached.
        """
        holds = self.pauses.holds
        if self.engine.running or req.session_id not in holds:
            return False
        return holds.next_expiry == math.inf or self._holds_what_it_cannot_use(req)

    def _holds_what_it_cannot_use(self, req: VllmReq) -> bool:
        held = self.pauses.paused[req.session_id].num_blocks
        return req.cached_tokens // self.answers.view.block_size < held

    def _name_victim(self) -> None:
        """vLLM preempts the largest (priority, arrival_time), which it reads after this."""
        victim = self.answers.victim(self.answers.view.running)
        running = (self.reqs[r.request_id] for r in self.engine.running)
        self.decisions.preempts(self.reqs[victim.request_id], running)
        self.spare_victim()
        self._victim = self.engine.requests[victim.request_id]
        self._victim.priority = 1

    def spare_victim(self) -> None:
        """Nobody is the victim any more."""
        if self._victim is not None:
            self._victim.priority = 0
        self._victim = None
