"""The longest prefix if it is long enough, else the smallest tree; two choices where uneven.

Source: Ray Serve LLM 2.60.0, prefix_aware_router.py: a match counts from a share of 0.1; uneven if
max - min rounds > the threshold, which is infinite by default, and then the less loaded of two
drawn ones. Not modelled: a tree of characters (blocks here) and its eviction, the cached lengths
of queues.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from marsbench.replicas.known import PrefixRouter, longest
from marsbench.replicas.router import ReplicaView, RoundToPlace, fewest, under_way


@dataclass
class RayPrefix(PrefixRouter):
    """match_rate: share of the prompt. imbalance: rounds."""

    match_rate: float = 0.1
    imbalance: float = math.inf

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        loads = [one.under_way for one in replicas]
        if max(loads) - min(loads) > self.imbalance:
            return _less_loaded_of_two(ask, replicas)
        matches = [self._known.matched(ask, one.index) for one in replicas]
        if max(matches) and max(matches) >= self.match_rate * ask.num_blocks:
            return fewest([replicas[i] for i in longest(matches)], under_way)
        return fewest(replicas, lambda one: self._known.size(one.index))


def _less_loaded_of_two(ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
    first = ask.draw(len(replicas))
    second = (first + 1 + ask.draw(len(replicas) - 1)) % len(replicas)
    return fewest([replicas[first], replicas[second]], under_way)
