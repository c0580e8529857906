"""The replica with the longest prefix that was sent there before; at random among the longest.

Source: production-stack, `prefixaware` in src/vllm_router/routers/routing_logic.py @a6c01db0, a
hash trie that never evicts, minimum match 0. Not modelled: its chunks of 128 characters; blocks of
the engine are compared here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marsbench.replicas.known import PrefixRouter, longest
from marsbench.replicas.router import ReplicaView, RoundToPlace


@dataclass
class PrefixAware(PrefixRouter):
    """Knows what it sent itself, and hears of no eviction."""

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        best = longest([self._known.matched(ask, one.index) for one in replicas])
        return replicas[best[ask.draw(len(best))]].index
