"""Several engines behind a router: how evenly they were busy, and what moving sessions cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NotRequired, TypedDict

from marsbench.core.events import (
    GpuStart,
    GpuSubmit,
    KvMoved,
    Placed,
    ReplicaBusy,
    ReplicaChanged,
    RoundLost,
)
from marsbench.core.metrics.percentiles import Distribution, describe
from marsbench.core.metrics.stream import Stream


class ReplicaChange(TypedDict):
    """At `at` seconds a replica leaves, drains or joins."""

    at: float
    replica: int
    change: str


class KvMoves(TypedDict):
    """KV that was copied from one replica's cache to another's, for rounds that waited for it.

    rounds: that waited; `wait` is in seconds, a value each: from admission to arrival, which is
        part of a round's TTFT.
    saved_tokens: of their prompts, that came so and were not computed again.
    out_busy_share, in_busy_share: of the run, in which each replica's lane carried a copy.
    """

    rounds: int
    bytes: float
    saved_tokens: int
    wait: Distribution
    out_busy_share: list[float]
    in_busy_share: list[float]


class ReplicaFigures(TypedDict):
    """Each list has a value a replica, the first being number 0.

    rounds: sent there. busy_share: of the run, in which its steps took the time.
    busy_cv: standard deviation of the busy shares by their mean; 0 where all are alike.
    evicted_blocks: that left each one's cache to make room.
    endless_hit_rate: of all prompt tokens, those that any replica had computed before the round
        was sent: the hit rate of one cache without end in their place.
    moves: rounds that went elsewhere than their session's round before.
    moved_recomputed_tokens: prompt tokens, in whole blocks, that those rounds' sessions had
        computed before and that were not found where they went.
    changes: what left, drained and joined, in order; lost_rounds: those that replicas had which
        left. Of runs with such changes alone.
    """

    num: int
    rounds: list[int]
    busy_share: list[float] | None
    busy_cv: float | None
    evicted_blocks: NotRequired[list[int] | None]
    endless_hit_rate: NotRequired[float | None]
    moves: int
    moved_recomputed_tokens: int
    changes: NotRequired[list[ReplicaChange]]
    lost_rounds: NotRequired[int]
    kv_moves: NotRequired[KvMoves]


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
    figures: ReplicaFigures = {
        "num": num,
        "rounds": [sum(event.replica == index for event in placed) for index in range(num)],
        "busy_share": shares,
        "busy_cv": None if shares is None else variation(shares),
        "evicted_blocks": _evicted(stream),
        "endless_hit_rate": _endless(stream, placed),
        "moves": len(moved),
        "moved_recomputed_tokens": sum(max(0, tokens) for tokens in computed),
    }
    if changes := stream.of(ReplicaChanged):
        figures["changes"] = [
            {"at": e.at, "replica": e.replica, "change": e.change} for e in changes
        ]
        figures["lost_rounds"] = len(stream.of(RoundLost))
    if moves := stream.of(KvMoved):
        figures["kv_moves"] = _kv_moves(stream, moves, num)
    return figures


def _kv_moves(stream: Stream, moves: Sequence[KvMoved], num: int) -> KvMoves:
    keys = {event.key for event in moves}
    loaded = (e.loaded_tokens or 0 for e in stream.of(GpuStart) if e.key in keys)

    def shares(which: Callable[[KvMoved], int]) -> list[float]:
        busy = ([e.copy_s for e in moves if which(e) == index] for index in range(num))
        return [math.fsum(seconds) / stream.end_s for seconds in busy]

    return {
        "rounds": len(moves),
        "bytes": math.fsum(event.bytes for event in moves),
        "saved_tokens": sum(loaded),
        "wait": describe(event.waited_s for event in moves),
        "out_busy_share": shares(lambda event: event.source),
        "in_busy_share": shares(lambda event: event.replica),
    }


def _evicted(stream: Stream) -> list[int] | None:
    told = {event.replica: event.evicted_blocks for event in stream.of(ReplicaBusy)}
    counts = [told[index] for index in sorted(told)]
    known = [blocks for blocks in counts if blocks is not None]
    return known if known and len(known) == len(counts) else None


def _endless(stream: Stream, placed: Sequence[Placed]) -> float | None:
    prompts = {event.key: event.prompt_tokens for event in stream.of(GpuSubmit)}
    first = {e.key: e.findable_tokens for e in reversed(placed)}  # of one sent again, the first
    found = [(own, prompts[key]) for key, own in first.items() if own is not None]
    asked = sum(tokens for _, tokens in found)
    return sum(tokens for tokens, _ in found) / asked if asked else None


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
