"""Sessions between two rounds: what a policy says of their blocks, carried out.

- Keep: a hold, which takes references to the session's full blocks;
- Swap: a hold until they are copied to host memory, and then they leave the GPU;
- Release, Discard: nothing keeps them, and a discard makes them the next to be reused;
- reclaim: a hold is given up where a request cannot allocate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from marsbench_backends.answers.policy import Answers
from marsbench_backends.policy import Discard, Keep, Paused, Policy, Release, Swap
from marsbench_backends.vllm.decisions import Decisions
from marsbench_backends.vllm.holds import Holds, discard
from marsbench_backends.vllm.queue import PolicyQueue
from marsbench_backends.vllm.tier import HostTier
from marsbench_backends.vllm.views import VllmReq
from marsbench_backends.vllm.watch import BlockWatch


@dataclass
class Pauses:
    """All pauses of an engine, their holds, and those whose blocks are being copied.

    pool: vLLM's block pool. host: host memory, where there is any.
    """

    paused: dict[str, Paused]
    answers: Answers
    decisions: Decisions
    waiting: PolicyQueue
    pool: Any
    host: HostTier | None
    watch: BlockWatch
    _copying: set[str] = field(default_factory=set)  # sessions on their way to host memory

    def __post_init__(self) -> None:
        self.holds = Holds(self.pool)
        self._retains = self.answers.overrides("retain")

    # --- a pause begins and ends

    def begin(self, req: VllmReq, blocks: Sequence[Any], num_tokens: int, now: float) -> list[Any]:
        """Returns the blocks to discard when the request has given them back.

        blocks: the request's, which are still referenced here: what is in use cannot be dropped.
        """
        info = req.info
        full = [b for b in blocks if b.block_hash is not None]
        paused = Paused(info.session_id, info.round, num_tokens, len(full), now, info.tools)
        self.paused[info.session_id] = paused
        return self._carry_out(paused, full) if self._retains else []

    def returned(self, session_id: str) -> None:
        """The session's next round waits."""
        self._mark(session_id, returned=True)

    def resumed(self, session_id: str) -> None:
        """Its next round runs, and has its own references to the blocks."""
        if session_id in self.holds:
            self.drop(session_id, "resumed")
        self.paused.pop(session_id, None)

    def ended(self, session_id: str) -> None:
        """No round follows."""
        if session_id in self.holds:
            self.drop(session_id, "session_ended")
        if self.host is not None:
            self.host.forget(session_id)
        self.paused.pop(session_id, None)

    def _mark(self, session_id: str, **facts: Any) -> None:
        paused = self.paused.get(session_id)
        if paused is not None:
            self.paused[session_id] = replace(paused, **facts)
            self.waiting.stale = True  # a key may depend on it

    # --- what becomes of its blocks

    def _carry_out(self, paused: Paused, blocks: list[Any]) -> list[Any]:
        """Ask what happens to a pause's blocks and do it; those returned are to be discarded."""
        answer = self.answers.retain(paused)
        if not paused.held:
            self.decisions.paused(not isinstance(answer, Release))
        if isinstance(answer, Keep):
            self._hold(paused.session_id, blocks, answer.until)
            return []
        if isinstance(answer, Swap) and self.host is not None and paused.num_blocks:
            self._copying.add(paused.session_id)
            swapped = blocks or self.holds.blocks(paused.session_id)
            self._hold(paused.session_id, blocks, self.host.swap_out(paused.session_id, swapped))
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
            self.decisions.hold_began(session_id, self.pool.get_num_free_blocks())
        else:
            return
        self._mark(session_id, held=True, held_until=until)

    def drop(self, session_id: str, why: str) -> list[Any]:
        """Give a hold's blocks back to the LRU."""
        self._copying.discard(session_id)
        blocks = self.holds.end(session_id, why)
        self.decisions.hold_ended(session_id)
        self._mark(session_id, held=False)
        return blocks

    def discard(self, blocks: Sequence[Any]) -> None:
        """What a policy discards is evicted: its contents are gone, whoever decided it."""
        if blocks:
            self.watch.discarded(discard(self.pool, blocks))
            self.waiting.stale = True  # the free list's order changed: no macro step over it

    # --- time passes, memory is short

    def review(self, now: float) -> None:
        """Ask again about the holds that have run out."""
        for session_id in self.holds.expired(now):
            paused = self.paused[session_id]
            if session_id in self._copying and not paused.returned:
                self._leave_for_host(session_id)
            else:
                self._copying.discard(session_id)
                self.discard(self._carry_out(paused, []))

    def _leave_for_host(self, session_id: str) -> None:
        """The copy has arrived: the blocks on the GPU are no longer needed."""
        assert self.host is not None
        blocks = self.drop(session_id, "swapped")
        lost = self.host.leave(session_id, [b.block_hash for b in blocks])
        left = discard(self.pool, blocks)
        self.watch.swapped_out(session_id, len(left))
        for owner, num_blocks in lost.items():
            self.watch.host_evicted(owner, num_blocks)

    def reclaim(self, needs: VllmReq, something_runs: bool) -> bool:
        """Give up one hold for `needs`; whether there was one.

        Where nothing runs and no hold will ever run out, one must yield, or all waits for ever.
        """
        spared = {needs.session_id, *self._copying}  # a copy ends by itself, and soon
        held = [self.paused[s] for s in self.holds if s not in spared]
        if not held:
            return False
        chosen = self.answers.reclaim(held, needs)
        policy, view = self.answers.policy, self.answers.view
        latest = Policy.reclaim(policy, held, needs, view) or ""
        if chosen is None and not something_runs and self.holds.next_expiry == math.inf:
            chosen = latest
        if chosen is None:
            return False
        self.decisions.gave_up(chosen, latest)
        self.drop(chosen, "revoked")
        return True
