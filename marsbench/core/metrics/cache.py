"""The KV cache: what was found in it, what left it, and what had to be computed again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, TypedDict

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
    owners = _by_owner(stream, sessions)
    blocks = sum(owners.values())
    peak = max((cell.blocks for cell in eviction_series(stream, sessions, run)), default=None)
    blind = Evicted.kind in unmeasured
    return {
        "blocks": None if blind else blocks,
        "blocks_per_s": None if blind or run is None else blocks / run.length_s,
        "peak_blocks_per_s": None if blind else peak,
        "live_blocks": None if blind else owners["live"],
        "ended_blocks": None if blind else owners["ended"],
        "prefix_blocks": None if blind else owners["prefix"],
        "recomputed_tokens": lost,
        "recomputed_blocks": None if lost is None or block_size is None else -(-lost // block_size),
        "preempt_recomputed_tokens": _sum_or_none([r.preempt_recomputed_tokens for r in started]),
    }


def _sum_or_none(values: Sequence[int | None]) -> int | None:
    """The sum if every value is known and there is one: a partial sum is not a total."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _by_owner(stream: Stream, sessions: Sequence[SessionRecord]) -> dict[str, int]:
    ended_at = {s.session: s.ended_at for s in sessions}
    blocks = {"live": 0, "ended": 0, "prefix": 0}
    for event in stream.of(Evicted):
        blocks[_fate(event, ended_at)] += event.blocks
    return blocks


def _fate(event: Evicted, ended_at: Mapping[str, float | None]) -> str:
    if event.owner.startswith(PREFIX_OWNER):
        return "prefix"
    if event.owner == OTHER_OWNER:
        return "ended"
    end = ended_at.get(event.owner)
    return "ended" if end is not None and end <= event.at else "live"


class EvictionCell(NamedTuple):
    """Blocks that were evicted in one second of the run, from `at_s` on."""

    at_s: float
    blocks: int
    live_blocks: int


def eviction_series(
    stream: Stream, sessions: Sequence[SessionRecord], run: Window | None
) -> list[EvictionCell]:
    """Evicted blocks for every second from the run's first arrival to its end, quiet ones too.

    live_blocks are those of sessions still under way. Evictions outside the run are left out.
    """
    if run is None:
        return []
    ended_at = {s.session: s.ended_at for s in sessions}
    cells = int(run.length_s // SERIES_STEP_S) + 1
    blocks, live = [0] * cells, [0] * cells
    for event in stream.of(Evicted):
        if not run.holds(event.at):
            continue
        cell = int((event.at - run.from_s) // SERIES_STEP_S)
        blocks[cell] += event.blocks
        live[cell] += event.blocks * (_fate(event, ended_at) == "live")
    return [EvictionCell(run.from_s + i * SERIES_STEP_S, blocks[i], live[i]) for i in range(cells)]
