"""The longest match unless load is uneven: then the fewest rounds under way.

Source: vllm-project/router, `cache_aware`, defaults of its command line (PyPI 0.1.17): uneven if
max - min > abs and max > rel x min; else the longest match if its share of the prompt is above the
threshold, else the smallest tree. Its library's defaults are 0.5, 32 and 1.1. Not modelled: a tree
of characters (blocks here), and its eviction every 120 s down to a size that no run here reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marsbench.replicas.known import PrefixRouter
from marsbench.replicas.router import ReplicaView, RoundToPlace, fewest, under_way


@dataclass
class CacheAware(PrefixRouter):
    """cache_threshold: share of the prompt. balance_abs: rounds; balance_rel: times the least."""

    cache_threshold: float = 0.3
    balance_abs: int = 64
    balance_rel: float = 1.5

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        loads = [one.under_way for one in replicas]
        most, least = max(loads), min(loads)
        if most - least > self.balance_abs and most > self.balance_rel * least:
            return fewest(replicas, under_way)
        best = fewest(replicas, lambda one: -self._known.matched(ask, one.index))
        if self._known.matched(ask, best) > self.cache_threshold * ask.num_blocks:
            return best
        return fewest(replicas, lambda one: self._known.size(one.index))
