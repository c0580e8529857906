"""The KV cache: what was found in it, what left it, and what had to be computed again."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypedDict, overload

import numpy as np
from numpy.typing import NDArray

from marsbench.core.events import Evicted
from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.sessions import SessionRecord
from marsbench.core.metrics.stream import Stream
from marsbench.core.metrics.window import Window

PREFIX_OWNER = "prefix:"
OTHER_OWNER = "other"  # of blocks that were in a server's cache before the run
SERIES_STEP_S = 1.0


class HitRate(TypedDict):
    """Shares of prompt tokens found in the prefix cache; `rounds` measured them.

    all, continuation: found on the GPU ÷ prompt tokens, of all rounds and of those after a
        session's first.
    host_all, host_continuation: loaded from host memory ÷ prompt tokens; None where it is not
        told, and then the two above include it.
    of_reusable: found, in either ÷ what would have been found had nothing been evicted.
    """

    rounds: int
    all: float | None
    continuation: float | None
    host_all: float | None
    host_continuation: float | None
    of_reusable: float | None


def hit_rate(rounds: Sequence[RoundRecord]) -> HitRate:
    """Prefix cache hits at each round's first start; starts after a preemption are left out.

    After a preemption a request finds its own blocks again, which says nothing about reuse.
    """
    started = [r for r in rounds if r.prompt_tokens is not None and r.cached_tokens is not None]
    later = [r for r in started if r.round > 0]
    known = [
        ((r.cached_tokens or 0) + (r.loaded_tokens or 0), r.reusable_tokens)
        for r in started
        if r.reusable_tokens is not None
    ]
    return {
        "rounds": len(started),
        "all": _share(started, lambda r: r.cached_tokens),
        "continuation": _share(later, lambda r: r.cached_tokens),
        "host_all": _share(started, lambda r: r.loaded_tokens),
        "host_continuation": _share(later, lambda r: r.loaded_tokens),
        "of_reusable": _ratio([(min(found, reusable), reusable) for found, reusable in known]),
    }


def _share(
    rounds: Sequence[RoundRecord], tokens: Callable[[RoundRecord], int | None]
) -> float | None:
    """These tokens ÷ prompt tokens, of the rounds that know them."""
    counts = ((tokens(r), r.prompt_tokens or 0) for r in rounds)
    return _ratio([(part, whole) for part, whole in counts if part is not None])


def _ratio(counts: Sequence[tuple[int, int]]) -> float | None:
    whole = sum(whole for _, whole in counts)
    return sum(part for part, _ in counts) / whole if whole else None


class Evictions(TypedDict):
    """Blocks that the GPU's cache dropped, and what that cost; None where the engine is silent.

    What left for host memory is not among them: see `Swaps`.

    live, ended and prefix blocks add up to `blocks`: owned by a session that was still under
    way, by one that was over, and by a prefix that several sessions share.
    recomputed: computed again because blocks were gone that had been there in an earlier round:
        evicted, or swapped and then lost from host memory;
    preempt_recomputed_tokens: computed again after preemptions, which are no evictions.
    """

    blocks: int | None
    blocks_per_s: float | None
    peak_blocks_per_s: float | None
    live_blocks: int | None
    ended_blocks: int | None
    prefix_blocks: int | None
    recomputed_tokens: int | None
    recomputed_blocks: int | None
    preempt_recomputed_tokens: int | None


def evictions(
    stream: Stream,
    sessions: Sequence[SessionRecord],
    rounds: Sequence[RoundRecord],
    run: Window | None,
    *,
    block_size: int | None = None,
    unmeasured: Collection[str] = (),
) -> Evictions:
    """Evictions both ways: every block that was dropped, and those whose loss was then felt.

    block_size: tokens a block, for recomputed_blocks.
    unmeasured: event kinds that the engine cannot see; without "evicted" no count is 0.
    """
    # A server hides its starts; that a round had one, its first token shows.
    started = [r for r in rounds if r.started_at is not None or r.first_token_at is not None]
    lost = _sum_or_none([r.recomputed_tokens for r in started])
    fates = _by_fate(stream, sessions)
    blocks = sum(fates.values())
    peak = None if run is None else int(_by_second(stream, sessions, run)[0].max())
    blind = Evicted.kind in unmeasured
    return {
        "blocks": None if blind else blocks,
        "blocks_per_s": None if blind or run is None else blocks / run.length_s,
        "peak_blocks_per_s": None if blind else peak,
        "live_blocks": None if blind else fates["live"],
        "ended_blocks": None if blind else fates["ended"],
        "prefix_blocks": None if blind else fates["prefix"],
        "recomputed_tokens": lost,
        "recomputed_blocks": None if lost is None or block_size is None else -(-lost // block_size),
        "preempt_recomputed_tokens": _sum_or_none([r.preempt_recomputed_tokens for r in started]),
    }


def _sum_or_none(values: Sequence[int | None]) -> int | None:
    """The sum if every value is known and there is one: a partial sum is not a total."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _by_fate(stream: Stream, sessions: Sequence[SessionRecord]) -> dict[str, int]:
    blocks, live, prefix = _fates(stream, sessions)
    of_live, of_prefix = int(blocks[live].sum()), int(blocks[prefix].sum())
    ended = int(blocks.sum()) - of_live - of_prefix
    return {"live": of_live, "ended": ended, "prefix": of_prefix}


def _fates(
    stream: Stream, sessions: Sequence[SessionRecord]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each eviction its blocks, whether its session was under way, and whether it is a prefix's.

    What is neither is of a session that was over.
    """
    evicted = stream.evicted
    ended_at = {s.session: s.ended_at for s in sessions}
    gone_at = [_gone_at(owner, ended_at) for owner in evicted.owners]
    is_prefix = [owner.startswith(PREFIX_OWNER) for owner in evicted.owners]
    owner = np.asarray(evicted.owner)
    prefix = np.array(is_prefix, dtype=bool)[owner]
    live = (np.asarray(evicted.at) < np.array(gone_at, dtype=float)[owner]) & ~prefix
    return np.asarray(evicted.blocks), live, prefix


def _gone_at(owner: str, ended_at: Mapping[str, float | None]) -> float:
    """From when on an owner's blocks are of nobody who is under way."""
    if owner == OTHER_OWNER:
        return -math.inf
    end = ended_at.get(owner)
    return math.inf if end is None else end


class EvictionCell(NamedTuple):
    """Blocks that were evicted in one second of the run, from `at_s` on."""

    at_s: float
    blocks: int
    live_blocks: int


@dataclass(frozen=True, slots=True)
class EvictionSeries(Sequence[EvictionCell]):
    """A cell for every second from `from_s` on, kept as columns: a run of a day has 86,400."""

    from_s: float
    blocks: array[int]
    live_blocks: array[int]

    def __len__(self) -> int:
        return len(self.blocks)

    @overload
    def __getitem__(self, place: int) -> EvictionCell: ...
    @overload
    def __getitem__(self, place: slice) -> list[EvictionCell]: ...
    def __getitem__(self, place: int | slice) -> EvictionCell | list[EvictionCell]:
        if isinstance(place, slice):
            return [self._at(i) for i in range(len(self))[place]]
        return self._at(range(len(self))[place])

    def _at(self, i: int) -> EvictionCell:
        at_s = self.from_s + i * SERIES_STEP_S
        return EvictionCell(at_s, self.blocks[i], self.live_blocks[i])

    @property
    def at_s(self) -> array[float]:
        """When each second begins."""
        return array("d", (self.from_s + np.arange(len(self)) * SERIES_STEP_S).tobytes())


def eviction_series(
    stream: Stream, sessions: Sequence[SessionRecord], run: Window | None
) -> EvictionSeries:
    """Evicted blocks for every second from the run's first arrival to its end, quiet ones too.

    live_blocks are those of sessions still under way. Evictions outside the run are left out.
    """
    if run is None:
        return EvictionSeries(0.0, array("q"), array("q"))
    columns = (array("q", column.tobytes()) for column in _by_second(stream, sessions, run))
    return EvictionSeries(run.from_s, *columns)


def _by_second(
    stream: Stream, sessions: Sequence[SessionRecord], run: Window
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Blocks that were evicted in each second of the run, and those of sessions under way."""
    at = np.asarray(stream.evicted.at)
    inside = (run.from_s <= at) & (at <= run.to_s)
    blocks, live, _ = (column[inside] for column in _fates(stream, sessions))
    cell = ((at[inside] - run.from_s) // SERIES_STEP_S).astype(np.int64)
    every = np.zeros(int(run.length_s // SERIES_STEP_S) + 1, np.int64)
    of_live = np.zeros_like(every)
    np.add.at(every, cell, blocks)
    np.add.at(of_live, cell, blocks * live)
    return every, of_live
