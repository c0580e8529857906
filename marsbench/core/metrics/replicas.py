"""Several engines behind a router: how evenly they were busy, and what moving sessions cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

from marsbench.core.events import GpuStart, Placed, ReplicaBusy
from marsbench.core.metrics.stream import Stream


class ReplicaFigures(TypedDict):
    """Each list has a value a replica, the first being number 0.

    rounds: sent there. busy_share: of the run, in which its steps took the time.
    busy_cv: standard deviation of the busy shares by their mean; 0 where all are alike.
    moves: rounds that went elsewhere than their session's round before.
    moved_recomputed_tokens: prompt tokens, in whole blocks, that those rounds' sessions had
        computed before and that were not found where they went.
    """

    num: int
    rounds: list[int]
    busy_share: list[float] | None
    busy_cv: float | None
    moves: int
    moved_recomputed_tokens: int


def replica_figures(stream: Stream) -> ReplicaFigures | None:
    """Of the whole run; None where one engine played it. A run cut short has no busy shares."""
    placed = stream.of(Placed)
    if not placed:
        return None
    busy = {event.replica: event.busy_s for event in stream.of(ReplicaBusy)}
    num = len(busy) or 1 + max(event.replica for event in placed)
    moved = _moved(placed)
    shares = [busy[index] / stream.end_s for index in range(num)] if busy else None
    computed = (
        (start.reusable_tokens or 0) - (start.cached_tokens or 0) - (start.loaded_tokens or 0)
        for start in stream.of(GpuStart)
        if start.key in moved and not start.resumed
    )
    return {
        "num": num,
        "rounds": [sum(event.replica == index for event in placed) for index in range(num)],
        "busy_share": shares,
        "busy_cv": None if shares is None else variation(shares),
        "moves": len(moved),
        "moved_recomputed_tokens": sum(max(0, tokens) for tokens in computed),
    }


def variation(values: Sequence[float]) -> float | None:
    """The coefficient of variation, of all values; None where their mean is 0."""
    mean = math.fsum(values) / len(values)
    if not mean:
        return None
    return math.sqrt(math.fsum((x - mean) * (x - mean) for x in values) / len(values)) / mean


def _moved(placed: Sequence[Placed]) -> set[tuple[str, int]]:
    last: dict[str, int] = {}
    moved = set()
    for event in placed:
        if last.get(event.session, event.replica) != event.replica:
            moved.add(event.key)
        last[event.session] = event.replica
    return moved
