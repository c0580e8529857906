"""A weighted sum of scores; the highest wins, at random among equals.

Source: llm-d/llm-d-router @ebab68792, the scorers of its default chart: queue
(max - q)/(max - min), 1 if all are equal; KV cache 1 - usage; prefix matched/total of what was
sent there, of at most 131,072 tokens. A report of load is 50 ms old at most, the default of its
--refresh-metrics-interval.
A match counts by its share of the prompt; with match_length_weight w by (1 - w) x that
+ w x min(1, matched tokens / match_length_tokens)^2, which the scorer has since (pull request
#1459; the names and the length's default are those of #1958).
With affinity=true its affinity filter stands before the scorers: where a replica matches at least
0.80 of the prompt only such ones are scored, unless the first token of the best of them comes more
than 18 s after that of the best other, by tokens in flight / 15,928 a second. Not modelled: the
eviction of its own index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marsbench.replicas.known import PrefixRouter
from marsbench.replicas.router import ReplicaView, RoundToPlace


@dataclass
class LlmD(PrefixRouter):
    """Weights of the three scores. most_tokens: of a prompt, those that are looked up.

    match_length_weight: of a match's own length in its score, from 0 to 1; match_length_tokens: a
        match that long has all of it.
    affinity: the filter, which the default chart has not. affinity_match: share of the prompt.
    affinity_gap_s: behind which stickiness is given up; tokens_per_s: what it takes a prefill for.
    """

    snapshot_age_s: float = 0.05
    queue_weight: float = 2.0
    kv_weight: float = 2.0
    prefix_weight: float = 3.0
    most_tokens: int = 131_072
    match_length_weight: float = 0.0
    match_length_tokens: int = 16_000
    affinity: bool = False
    affinity_match: float = 0.8
    affinity_gap_s: float = 18.0
    tokens_per_s: float = 15_928.0

    def __post_init__(self) -> None:
        if not 0 <= self.match_length_weight <= 1:
            raise ValueError(
                f"match_length_weight must be from 0 to 1, not {self.match_length_weight:g}"
            )
        if self.match_length_tokens < 1:
            raise ValueError(
                f"match_length_tokens must be 1 or more, not {self.match_length_tokens}"
            )

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        among = self._filtered(ask, replicas) if self.affinity else replicas
        scores = [self._score(ask, one, among) for one in among]
        best = [one.index for one, s in zip(among, scores, strict=True) if s == max(scores)]
        return best[ask.draw(len(best))]

    def _filtered(
        self, ask: RoundToPlace, replicas: Sequence[ReplicaView]
    ) -> Sequence[ReplicaView]:
        sticky = [one for one in replicas if self._share(ask, one) >= self.affinity_match]
        others = [one for one in replicas if one not in sticky]
        if not sticky or not others:
            return replicas
        behind = min(one.tokens for one in sticky) - min(one.tokens for one in others)
        return replicas if behind / self.tokens_per_s > self.affinity_gap_s else sticky

    def _matched(self, ask: RoundToPlace, one: ReplicaView) -> tuple[float, int]:
        """The share of the blocks that are looked up, and the tokens."""
        looked_up = min(ask.num_blocks, self.most_tokens // ask.block_size)
        matched = min(looked_up, self._known.matched(ask, one.index))
        return matched / looked_up if looked_up else 0.0, matched * ask.block_size

    def _share(self, ask: RoundToPlace, one: ReplicaView) -> float:
        return self._matched(ask, one)[0]

    def _prefix(self, ask: RoundToPlace, one: ReplicaView) -> float:
        share, tokens = self._matched(ask, one)
        length = min(1.0, tokens / self.match_length_tokens)
        weight = self.match_length_weight
        return weight * (length * length) + (1.0 - weight) * share

    def _score(self, ask: RoundToPlace, one: ReplicaView, replicas: Sequence[ReplicaView]) -> float:
        waiting = [other.waiting for other in replicas]
        span = max(waiting) - min(waiting)
        queue = (max(waiting) - one.waiting) / span if span else 1.0
        kept, prefix = 1.0 - one.kv_usage, self._prefix(ask, one)
        return self.queue_weight * queue + self.kv_weight * kept + self.prefix_weight * prefix
