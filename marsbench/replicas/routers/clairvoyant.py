"""The least delay, to itself and to those that are there: the line above.

Source: ours. It is told what no router can know: at once what is in each cache, and how long each
answer will still be. The cost of a replica is the seconds until its work is done, and those that
this prompt takes to compute there, once for itself and once for each round under way, since all of
them wait for it meanwhile. It decides round by round and plans nothing: what a context that it
brings somewhere pushes out of the cache it does not count, so it is no bound.
Not modelled: what is still to come of a session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from marsbench.replicas.router import ReplicaView, RoundToPlace, Router, fewest


@dataclass
class Clairvoyant(Router):
    """Knows the present, and the length of every answer."""

    hears_kv_events: ClassVar[bool] = True
    reads_prompts: ClassVar[bool] = False
    clairvoyant: ClassVar[bool] = True

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        return fewest(replicas, lambda one: _delay_s(ask, one))


def _delay_s(ask: RoundToPlace, one: ReplicaView) -> float:
    cached = one.matched_tokens or 0
    own_s = ask.prefill_s(ask.prompt_tokens - cached, cached)
    return (one.work_s or 0.0) + own_s * (1 + one.under_way)
