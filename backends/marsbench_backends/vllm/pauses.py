"""Sessions between two rounds: what a policy says of their blocks, carried out.

- Keep: a hold, which takes references to the session's full blocks;
- Swap: a hold until they are copied to host memory, and then they leave the GPU;
- Release, Discard: nothing keeps them, and a discard makes them the next to be reused;
- reclaim: a hold is given up where a request cannot allocate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vllm.v1.core.kv_cache_utils import get_block_hash

from marsbench_backends.answers.policy import Answers
from marsbench_backends.policy import Discard, Keep, Paused, Policy, Release, Swap
from marsbench_backends.vllm.decisions import Decisions
from marsbench_backends.vllm.holds import Holds, discard
from marsbench_backends.vllm.host import HostConnector
from marsbench_backends.vllm.order import RequestOrder
from marsbench_backends.vllm.views import EngineView, VllmReq
from marsbench_backends.vllm.watch import BlockWatch


class Pauses:
    """All pauses of an engine, their holds, and those whose blocks are being copied."""

    def __init__(
        self,
        policy: Policy,
        answers: Answers,
        decisions: Decisions,
        view: EngineView,
        order: RequestOrder,
        pool: Any,
        host: HostConnector | None,
        watch: BlockWatch,
    ) -> None:
        self._policy = policy
        self._answers = answers
        self._decisions = decisions
        self._view = view
        self._order = order
        self._pool = pool
        self._host = host
        self._watch = watch
        self._paused = view.paused
        self._copying: set[str] = set()  # sessions whose blocks are on their way to host memory
        self._retains = type(policy).retain is not Policy.retain
        self.holds = Holds(pool)

    # --- a pause begins and ends

    def begin(self, req: VllmReq, blocks: Sequence[Any], num_tokens: int, now: float) -> list[Any]:
        """Returns the blocks to discard when the request has given them back.

        blocks: the request's, which are still referenced here: what is in use cannot be dropped.
        """
        info = req.info
        full = [b for b in blocks if b.block_hash is not None]
        paused = Paused(info.session_id, info.round, num_tokens, len(full), now, info.tools)
        self._paused[info.session_id] = paused
        return self._carry_out(paused, full) if self._retains else []

    def returned(self, session_id: str) -> None:
        """The session's next round waits."""
        self._mark(session_id, returned=True)

    def resumed(self, session_id: str) -> None:
        """Its next round runs, and has its own references to the blocks."""
        if session_id in self.holds:
            self.drop(session_id, "resumed")
        self._paused.pop(session_id, None)

    def ended(self, session_id: str) -> None:
        """No round follows."""
        if session_id in self.holds:
            self.drop(session_id, "session_ended")
        if self._host is not None:
            self._host.memory.forget(session_id)
        self._paused.pop(session_id, None)

    def _mark(self, session_id: str, **facts: Any) -> None:
        paused = self._paused.get(session_id)
        if paused is not None:
            self._paused[session_id] = replace(paused, **facts)
            self._order.stale = True  # a key may depend on it

    # --- what becomes of its blocks

    def _carry_out(self, paused: Paused, blocks: list[Any]) -> list[Any]:
        """Ask what happens to a pause's blocks and do it; those returned are to be discarded."""
        answer = self._answers.retain(paused)
        if not paused.held:
            self._decisions.paused(not isinstance(answer, Release))
        if isinstance(answer, Keep):
            self._hold(paused.session_id, blocks, answer.until)
            return []
        if isinstance(answer, Swap) and self._host is not None and paused.num_blocks:
            self._copying.add(paused.session_id)
            self._hold(paused.session_id, blocks, self._host.send_out(paused.num_blocks))
            return []
        dropped = blocks
        if paused.session_id in self.holds:
            dropped = self.drop(paused.session_id, "expired")
        return dropped if isinstance(answer, Discard) else []

    def _hold(self, session_id: str, blocks: Sequence[Any], until: float) -> None:
        if session_id in self.holds:
            self.holds.extend(session_id, until)
        elif blocks:
            self.holds.begin(session_id, blocks, until)
            self._decisions.hold_began(session_id, self._view.free_blocks)
        else:
            return
        self._mark(session_id, held=True, held_until=until)

    def drop(self, session_id: str, why: str) -> list[Any]:
        """Give a hold's blocks back to the LRU."""
        self._copying.discard(session_id)
        blocks = self.holds.end(session_id, why)
        self._decisions.hold_ended(session_id)
        self._mark(session_id, held=False)
        return blocks

    def discard(self, blocks: Sequence[Any]) -> None:
        """What a policy discards is evicted: its contents are gone, whoever decided it."""
        if blocks:
            self._watch.discarded(discard(self._pool, blocks))
            self._order.stale = True  # the free list's order changed: no macro step over it

    # --- time passes, memory is short

    def review(self, now: float) -> None:
        """Ask again about the holds that have run out."""
        for session_id in self.holds.expired(now):
            paused = self._paused[session_id]
            if session_id in self._copying and not paused.returned:
                self._leave_for_host(session_id)
            else:
                self._copying.discard(session_id)
                self.discard(self._carry_out(paused, []))

    def _leave_for_host(self, session_id: str) -> None:
        """The copy has arrived: the blocks on the GPU are no longer needed."""
        assert self._host is not None
        blocks = self.drop(session_id, "swapped")
        hashes = [get_block_hash(b.block_hash) for b in blocks]
        lost = self._host.memory.store(session_id, hashes)
        left = discard(self._pool, blocks)
        self._watch.swapped_out(session_id, len(left))
        for owner, num_blocks in lost.items():
            self._watch.host_evicted(owner, num_blocks)

    def reclaim(self, needs: VllmReq, something_runs: bool) -> bool:
        """Give up one hold for `needs`; whether there was one.

        Where nothing runs and no hold will ever run out, one must yield, or all waits for ever.
        """
        spared = {needs.session_id, *self._copying}  # a copy ends by itself, and soon
        held = [self._paused[s] for s in self.holds if s not in spared]
        if not held:
            return False
        chosen = self._answers.reclaim(held, needs)
        latest = Policy.reclaim(self._policy, held, needs, self._view) or ""
        if chosen is None and not something_runs and self.holds.next_expiry == math.inf:
            chosen = latest
        if chosen is None:
            return False
        self._decisions.gave_up(chosen, latest)
        self.drop(chosen, "revoked")
        return True
