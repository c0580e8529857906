"""InferCept as MARS re-implemented it for its comparison: one pin, its length fixed at the start.

Source: MARS_preview, vllm/v1/core/sched/scheduler.py L332-415 and L2049-2055; InferCept is arXiv
2402.01869. TTL = T_fwd(C) x (C + C_other) / (2 C), where preserving would have wasted as much as a
chunked discard: C is the session's context, C_other the tokens of the running requests.
Differs from the paper: no swap, no re-evaluation while the tool runs, FCFS by the round's arrival.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marsbench_backends.parameters import varied
from marsbench_backends.policy import Keep, Paused, Policy, Release, Req, Retention, View


@dataclass
class InferCeptStatic(Policy):
    """reload_token_s: seconds to recompute one token; MARS's constant, None for the engine's own
    profile (at 100,000 tokens 20 s against 7.2 s on an H200).
    min_ttl_s: seconds; a shorter pin is not made (MARS_preview).
    """

    reload_token_s: float | None = varied(0.0002, None, why="MARS's constant, for another GPU")
    min_ttl_s: float = 0.01

    def retain(self, paused: Paused, view: View) -> Retention:
        if paused.held:
            return Keep() if paused.returned else Release()
        ttl_s = self._ttl_s(paused, view)
        return Keep(view.now + ttl_s) if ttl_s > self.min_ttl_s else Release()

    def _ttl_s(self, paused: Paused, view: View) -> float:
        """Seconds for which a pin wastes no more than a discard."""
        tokens = paused.num_tokens
        others = sum(req.num_computed_tokens for req in view.running)
        return self._reload_s(tokens, view) * (tokens + others) / (2 * tokens)

    def reclaim(self, held: Sequence[Paused], needs: Req, view: View) -> str | None:
        """Only when nothing else runs does a pin yield: the one that would end last."""
        if any(req.request_id != needs.request_id for req in view.running):
            return None
        return max(held, key=lambda p: (p.held_until, p.session_id)).session_id

    def _reload_s(self, tokens: int, view: View) -> float:
        if self.reload_token_s is None:
            return view.prefill_s(tokens)
        return self.reload_token_s * tokens
