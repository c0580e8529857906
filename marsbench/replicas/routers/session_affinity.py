"""A hash ring on the session's id: a session's rounds all go to one replica.

Source: production-stack, src/vllm_router/routers/routing_logic.py @a6c01db0, and
vllm-project/router, whose number of virtual nodes is taken. Not modelled: sessions without an id,
since every round here has one; the hash function of either project (SHA-256 here), so that single
sessions lie elsewhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from typing import ClassVar

from marsbench.replicas.router import ReplicaView, RoundToPlace, Router


@dataclass
class SessionAffinity(Router):
    """virtual_nodes: places of each replica on the ring."""

    reads_prompts: ClassVar[bool] = False
    virtual_nodes: int = 160

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        return on_ring(ask.session, replicas, self.virtual_nodes)


def on_ring(session: str, replicas: Sequence[ReplicaView], virtual_nodes: int) -> int:
    """The one whose place on the ring follows the session's."""
    places, owners = _ring(tuple(one.index for one in replicas), virtual_nodes)
    return owners[bisect_right(places, _place(session)) % len(places)]


@cache
def _ring(indices: tuple[int, ...], virtual_nodes: int) -> tuple[list[int], list[int]]:
    places = ((index, f"{index}#{n}") for index in indices for n in range(virtual_nodes))
    ring = sorted((_place(text), index) for index, text in places)
    return [place for place, _ in ring], [index for _, index in ring]


@lru_cache(1 << 16)
def _place(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big")
