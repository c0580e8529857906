"""InferCept: a paused session's KV is preserved, swapped or discarded, whatever wastes least.

Paper: arXiv 2402.01869, its waste equations, min-waste choice and swap budget. Waste is GPU memory
x time; memory is in tokens here, since bytes a token cancel. How long the tool will run is taken
to be how long it has run, looked at again and again while it runs. Preserved sessions that are
back go first, then all others, by the session's first arrival.
Differs: re-evaluated on a grid of `review_s`, not at every iteration; swapped only while a request
waits (its public code: when room is needed); copies overlap with computing on a link of their own,
so that the budget is the link's time; a discarded context stays in vLLM's prefix cache until its
blocks are needed. Not modelled: what copies take of the GPU's memory bandwidth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from marsbench_backends.parameters import ours
from marsbench_backends.parts.arrivals import SessionArrivals
from marsbench_backends.parts.review import last_review, next_review
from marsbench_backends.policy import Keep, Key, Paused, Policy, Release, Req, Retention, Swap, View
from marsbench_backends.signals import Signal


@dataclass(frozen=True, slots=True)
class RunningBatch:
    """What runs: `tokens` of context (C_other), and how many requests decode."""

    tokens: int
    decodes: int

    @classmethod
    def of(cls, view: View) -> RunningBatch:
        running = view.running
        tokens = sum(req.num_computed_tokens for req in running)
        return cls(tokens, sum(req.decoding for req in running))


@dataclass
class InferCept(Policy):
    """review_s: seconds between two evaluations; the paper's iterations take 0.03 to 1.5 s.

    saturation_tokens: S, tokens a step beyond which a step takes longer; None is the engine's
        step budget.
    host_tokens: tokens of KV in host memory, 0 for no swapping; 2,000,000 are 197 GB for
        Qwen3-Coder-30B, the larger of the two sizes that Continuum (2511.02230) compares.
    """

    review_s: float = ours(0.2, 0.05, 1.0, why="at every iteration in the paper: 0.03 to 1.5 s")
    saturation_tokens: int | None = ours(None, 512, 8_192, why="profiled, for other GPUs")
    host_tokens: int = ours(2_000_000, 0, 4_000_000, why="no size of host memory in the paper")
    _arrivals: SessionArrivals = field(default_factory=SessionArrivals, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.review_s <= 0:
            raise ValueError(f"review_s must be more than 0, not {self.review_s}")

    def waiting_key(self, req: Req, view: View) -> Key:
        paused = view.paused.get(req.session_id)
        # A preserved context has its memory: the paper's session goes straight back to running.
        preserved = paused is not None and paused.held
        return (not preserved, self._arrivals.of_request(req), req.position)

    def victim(self, running: Sequence[Req], view: View) -> Req:
        return max(running, key=lambda req: (self._arrivals.of_request(req), req.position))

    def retain(self, paused: Paused, view: View) -> Retention:
        if paused.returned:
            return Keep()
        batch = RunningBatch.of(view)
        if self._swaps(paused, batch, view):
            return Swap()
        if self._should_go(paused, view.now, batch, view):
            return Release()
        return Keep(next_review(view.now, self.review_s))

    def reclaim(self, held: Sequence[Paused], needs: Req, view: View) -> str | None:
        """Those whose discard wastes less with the batch as it is now, the largest waste first.

        Waste is that of the last review: between two of them time alone changes no answer.
        """
        batch, at = RunningBatch.of(view), last_review(view.now, self.review_s)
        lost = [p for p in held if not p.returned and self._should_go(p, at, batch, view)]
        if not lost:
            return None
        return max(lost, key=lambda p: (preserve_waste(p, at), p.session_id)).session_id

    def observe(self, signal: Signal) -> None:
        self._arrivals.observe(signal)

    def _discard_waste(self, paused: Paused, batch: RunningBatch, view: View) -> float:
        """T_fwd(C) x C / 2 + n x T_fwd(C / n) x C_other: own memory fills up, others wait."""
        tokens = paused.num_tokens
        chunk = max(view.block_size, (self.saturation_tokens or view.token_budget) - batch.decodes)
        num_chunks = math.ceil(tokens / chunk)
        tokens_each = tokens // num_chunks
        # T_fwd(C / n) of a chunk in the middle: half of the rest precedes it.
        chunk_s = view.prefill_s(tokens_each, (tokens - tokens_each) // 2)
        return view.prefill_s(tokens) * tokens / 2 + num_chunks * chunk_s * batch.tokens

    def _should_go(self, paused: Paused, at: float, batch: RunningBatch, view: View) -> bool:
        return preserve_waste(paused, at) > self._discard_waste(paused, batch, view)

    def _swaps(self, paused: Paused, batch: RunningBatch, view: View) -> bool:
        """While room is needed the link goes to the largest waste; the rest stay or are discarded.

        A session that returns before its copy is complete has lost nothing.
        """
        if not self.host_tokens or view.link_free_at > view.now or not view.waiting:
            return False
        waste = self._least_waste(paused, batch, view)
        if paused.num_blocks > view.host_free_blocks or waste <= 0:
            return False
        others = (p for p in view.paused.values() if p.held and not p.returned)
        return all(self._least_waste(other, batch, view) <= waste for other in others)

    def _least_waste(self, paused: Paused, batch: RunningBatch, view: View) -> float:
        return min(preserve_waste(paused, view.now), self._discard_waste(paused, batch, view))


def preserve_waste(paused: Paused, at: float) -> float:
    """T_INT x C, with T_INT estimated as the time since the pause began."""
    return (at - paused.paused_at) * paused.num_tokens
