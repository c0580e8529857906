"""The least delay; a context that lies elsewhere is copied when that is quicker than computing it.

Source: ours, to say what it is worth that KV moves between replicas. A replica's delay is that of
the prompts that wait there for their first token, and of this one: the quicker of computing what
its cache lacks and of fetching it from the replica that has most. What is computed holds up the
rounds under way there too, and so counts once more for each; a copy holds up nobody. Among equals
the one that has most, then the first.
Not modelled: what a copy takes of the memory bandwidth at both ends, what a context that comes
pushes out, and what is still to come of a session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marsbench.replicas.router import MovingRouter, Placement, ReplicaView, RoundToPlace, of_index


@dataclass
class Migrate(MovingRouter):
    """By its own books, the replicas' KV events, and what the link has under way."""

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int | Placement:
        most = max(replicas, key=lambda one: (_cached(one), -one.index))
        costs = {one.index: self._costs(ask, one, most) for one in replicas}
        best = min(costs, key=lambda i: (min(costs[i]), -_cached(of_index(replicas, i)), i))
        stay_s, fetch_s = costs[best]
        return Placement(best, most.index) if fetch_s < stay_s else best

    def _costs(self, ask: RoundToPlace, one: ReplicaView, most: ReplicaView) -> tuple[float, float]:
        """Seconds with what its cache has, and with what it would have once it was copied."""
        queue_s = ask.prefill_s(one.prefill_tokens, 0) if one.prefill_tokens else 0.0
        own = queue_s + _computing_s(ask, _cached(one), one)
        more = _cached(most) - _cached(one)
        if more <= 0 or ask.move_s is None:
            return own, float("inf")
        move_s = ask.move_s(most.index, one.index, more)
        return own, queue_s + move_s + _computing_s(ask, _cached(most), one)


def _cached(one: ReplicaView) -> int:
    return one.matched_tokens or 0


def _computing_s(ask: RoundToPlace, cached: int, one: ReplicaView) -> float:
    return ask.prefill_s(ask.prompt_tokens - cached, cached) * (1 + one.under_way)
