"""Whose KV is on the GPU over time, as far as events tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marsbench.core.events import GpuEnd, GpuFirstToken, GpuStart, GpuSubmit, SwappedOut
from marsbench.core.metrics.stream import Stream

NAMED = 7
"""Sessions that are drawn by name: those with most blocks x seconds."""
OTHERS, ENDED = "other sessions", "sessions that are over"
Floats = NDArray[np.float64]
Change = tuple[float, float]
"""An instant, and blocks."""


@dataclass(frozen=True, slots=True)
class KvOwners:
    """Blocks of each owner at each instant of `at`; those of `stacked` are all, the rest summed.

    A session's own: its context, less what its first round found of others, less its evictions
    and what it swapped out. So a shared prefix is nobody's, or its first user's. No event says
    when an empty block is taken, so what is left of sessions that are over is at most what the
    live ones leave of all blocks.
    """

    stacked: Mapping[str, Floats]
    by_session: Mapping[str, Floats]

    @staticmethod
    def of(
        stream: Stream,
        ended_at: Mapping[str, float],
        block_size: int,
        total_blocks: int | None,
        at: Floats,
    ) -> KvOwners:
        """ended_at: of the sessions that are over by then; what they leave is cached still."""
        sets, losses = _sets(stream, block_size), _losses(stream)
        own = {name: _blocks(sets[name], losses.get(name, ()), at) for name in sets}
        live = {n: np.where(at < ended_at.get(n, np.inf), own[n], 0.0) for n in own}
        ranked = sorted(live, key=lambda name: (-live[name].sum(), name))
        named = {name: live[name] for name in sorted(ranked[:NAMED])}
        rest = sum((live[name] for name in ranked[NAMED:]), np.zeros(len(at)))
        over = sum((own[name] - live[name] for name in ranked), np.zeros(len(at)))
        if total_blocks is not None:
            over = np.clip(total_blocks - sum(live.values(), np.zeros(len(at))), 0.0, over)
        return KvOwners({**named, OTHERS: rest, ENDED: over}, live)


def _sets(stream: Stream, block_size: int) -> Mapping[str, list[Change]]:
    """When it is known how many blocks of its own a session has: at a round's start, first token
    and end.
    """
    prompts = {e.key: e.prompt_tokens for e in stream.of(GpuSubmit)}
    shared: dict[str, int] = {}
    found: defaultdict[str, list[Change]] = defaultdict(list)
    told: list[tuple[float, str, int]] = []
    for start in stream.of(GpuStart):
        cached = start.cached_tokens or 0
        shared.setdefault(start.session, cached)
        told.append((start.at, start.session, cached))
    told += [(e.at, e.session, prompts.get(e.key, 0)) for e in stream.of(GpuFirstToken)]
    told += [(e.at, e.session, prompts.get(e.key, 0) + e.output_tokens) for e in stream.of(GpuEnd)]
    for at, name, tokens in sorted(told):
        found[name].append((at, max(0, tokens - shared.get(name, 0)) // block_size))
    return found


def _losses(stream: Stream) -> Mapping[str, list[Change]]:
    found: defaultdict[str, list[Change]] = defaultdict(list)
    for at, owner, blocks in stream.evicted.rows():
        found[owner].append((at, blocks))
    for event in stream.of(SwappedOut):
        found[event.session].append((event.at, event.blocks))
    return {name: sorted(changes) for name, changes in found.items()}


def _blocks(sets: list[Change], losses: tuple[()] | list[Change], at: Floats) -> Floats:
    """The last known number before each instant, less what has gone since; 0 before the first."""
    known_at, known = (np.array(column, dtype=float) for column in zip(*sets, strict=True))
    gone_at, gone = (np.array(c, dtype=float) for c in zip(*losses, strict=True)) if losses else (
        np.zeros(0), np.zeros(0)
    )  # fmt: skip
    total = np.r_[0.0, np.cumsum(gone)]
    last = np.searchsorted(known_at, at, side="right") - 1
    since = total[np.searchsorted(gone_at, at, side="right")]
    before = total[np.searchsorted(gone_at, known_at[last], side="right")]
    return np.where(last >= 0, np.maximum(0.0, known[last] - (since - before)), 0.0)
