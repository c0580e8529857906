"""By match, then by load, the first that is not overloaded; the fewest rounds where none matches.

Source: AIBrix `prefix-cache` @e3e10f9e: if max - min rounds > 8, only those with the fewest; else
by match (most first) and rounds (fewest first) the first with rounds <= mean + 1 standard
deviation; else the fewest. Entries live 20 minutes. Not modelled: its hash blocks (the engine's
here), and its own draw among equals (the first here).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from marsbench.replicas.known import KnownPrefixes, PrefixRouter
from marsbench.replicas.router import ReplicaView, RoundToPlace, fewest, under_way


@dataclass
class Aibrix(PrefixRouter):
    """imbalance: rounds. deviations: above the mean. lives_s: of an entry, since its last use."""

    imbalance: int = 8
    deviations: float = 1.0
    lives_s: float = 1200.0

    def __post_init__(self) -> None:
        self._known = KnownPrefixes(self.lives_s)

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        loads = [one.under_way for one in replicas]
        if max(loads) - min(loads) > self.imbalance:
            return fewest(replicas, under_way)
        mean = sum(loads) / len(loads)
        spread = math.sqrt(sum((load - mean) * (load - mean) for load in loads) / len(loads))
        matches = {one.index: self._known.matched(ask, one.index) for one in replicas}
        for one in sorted(replicas, key=lambda r: (-matches[r.index], r.under_way, r.index)):
            if matches[one.index] and one.under_way <= mean + self.deviations * spread:
                return one.index
        return fewest(replicas, under_way)
