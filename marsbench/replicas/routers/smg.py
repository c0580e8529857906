"""Where the prompt matches, the least loaded of the longest; elsewhere only if that is overloaded.

Source: lightseek/smg @f8daa8835 (SGLang's gateway), PyPI smg 1.13.0: a match counts above the
threshold; spilled to the least loaded of all only if load > mean x rel and load > mean + abs;
without a match the least load. Not modelled: a tree of characters (blocks here), and its eviction
every 60 s down to a size that no run here reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marsbench.replicas.known import PrefixRouter, longest
from marsbench.replicas.router import ReplicaView, RoundToPlace, fewest, of_index, under_way


@dataclass
class Smg(PrefixRouter):
    """cache_threshold: share of the prompt. balance_abs: rounds; balance_rel: times the mean."""

    cache_threshold: float = 0.3
    balance_abs: int = 64
    balance_rel: float = 1.5

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        matches = [self._known.matched(ask, one.index) for one in replicas]
        if max(matches) <= self.cache_threshold * ask.num_blocks:
            return fewest(replicas, under_way)
        best = fewest([replicas[i] for i in longest(matches)], under_way)
        load = of_index(replicas, best).under_way
        mean = sum(one.under_way for one in replicas) / len(replicas)
        if load > mean * self.balance_rel and load > mean + self.balance_abs:
            return fewest(replicas, under_way)
        return best
