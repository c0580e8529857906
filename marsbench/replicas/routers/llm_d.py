"""A weighted sum of scores; the highest wins, at random among equals.

Source: llm-d/llm-d-router @ebab68792, the scorers of its default chart: queue
(max - q)/(max - min), 1 if all are equal; KV cache 1 - usage; prefix matched/total of what was
sent there, of at most 131,072 tokens. A report of load is 50 ms old at most, the default of its
--refresh-metrics-interval.
Not modelled: the eviction of its own index, and the affinity filter (sticky at a match of 0.80).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from marsbench.replicas.known import KnownPrefixes
from marsbench.replicas.router import ReplicaView, RoundToPlace, Router


@dataclass
class LlmD(Router):
    """Weights of the three scores. most_tokens: of a prompt, those that are looked up."""

    snapshot_age_s: float = 0.05
    queue_weight: float = 2.0
    kv_weight: float = 2.0
    prefix_weight: float = 3.0
    most_tokens: int = 131_072
    _known: KnownPrefixes = field(default_factory=KnownPrefixes, init=False)

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        scores = [self._score(ask, one, replicas) for one in replicas]
        best = [i for i, score in enumerate(scores) if score == max(scores)]
        return best[ask.draw(len(best))]

    def _score(self, ask: RoundToPlace, one: ReplicaView, replicas: Sequence[ReplicaView]) -> float:
        waiting = [other.waiting for other in replicas]
        span = max(waiting) - min(waiting)
        queue = (max(waiting) - one.waiting) / span if span else 1.0
        looked_up = min(ask.num_blocks, self.most_tokens // ask.block_size)
        matched = min(looked_up, self._known.matched(ask, one.index))
        prefix = matched / looked_up if looked_up else 0.0
        kept = 1.0 - one.kv_usage
        return self.queue_weight * queue + self.kv_weight * kept + self.prefix_weight * prefix

    def placed(self, ask: RoundToPlace, replica: int) -> None:
        self._known.learn(ask, replica)
