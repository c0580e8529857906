"""T-LRU: the tail of a context that may be computed again within the latency budget goes first.

Paper: Tail-Optimized LRU, arXiv 2510.15152; SGLang's pull request #34012 (merged),
mem_cache/evict_policy.py, and vLLM's RFC #37823. A session with a history of L tokens, whose next
prompt is expected to add Q, keeps its first token below a threshold of X computed tokens as long as
L + Q - X of its tokens are cached. What is past that is safe: it is evicted before anything else,
the least recently used first, and then all the rest is in plain LRU order.
Defaults: SGLang's are X = Q = 0, which is plain LRU; these are of vLLM's RFC.
Differs: blocks are judged one by one, as in the paper; SGLang judges the node of a turn as a whole.
L is the session's context as it is, so a context that was cut has a new one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from marsbench_backends.parameters import varied
from marsbench_backends.policy import EvictionRank, Policy, Req, View

SAFE, PROTECTED = -1.0, 0.0


@dataclass
class TLru(Policy):
    """threshold_tokens: X, the tokens that may be computed before a first token is late.

    next_tokens: Q, what the next prompt is expected to add.
    """

    threshold_tokens: int = varied(
        4_096, 1_024, 16_384, why="of the RFC's example; a time to first token in tokens"
    )
    next_tokens: int = varied(200, 1_000, 4_000, why="the RFC's default, for chats")

    def __post_init__(self) -> None:
        for name in ("threshold_tokens", "next_tokens"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")

    def eviction_order(self, req: Req, view: View) -> Sequence[EvictionRank]:
        needed = max(req.num_tokens + self.next_tokens - self.threshold_tokens, 0)
        return (EvictionRank(needed, PROTECTED), EvictionRank(math.inf, SAFE))
