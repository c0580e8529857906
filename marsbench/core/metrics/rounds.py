"""One record for every round: when it was ready, submitted, started, answered and done."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from marsbench.core import events
from marsbench.core.metrics.percentiles import Distribution, describe
from marsbench.core.metrics.stream import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """What one round experienced; None where it did not get that far or was not measured.

    Instants (`_at`) and durations (`_s`) are seconds. `output_tokens` counts what was generated.
    cached_tokens, loaded_tokens: found on the GPU, and loaded from host memory.
    recomputed_tokens: tokens of this session that had been computed before, were in neither when
        the round started, and were computed again.
    preempt_recomputed_tokens: the same at every start after a preemption.
    """

    session: str
    round: int
    ready_at: float
    submitted_at: float | None
    started_at: float | None
    first_token_at: float | None
    ended_at: float | None
    ttft_ready_s: float | None
    ttft_submit_s: float | None
    tpot_s: float | None
    prompt_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    loaded_tokens: int | None
    reusable_tokens: int | None
    recomputed_tokens: int | None
    preempt_recomputed_tokens: int | None
    preemptions: int


def rounds_of(stream: Stream) -> tuple[RoundRecord, ...]:
    """A record for every round that was ever ready, in the order in which they were ready."""
    submits = {e.key: e for e in stream.of(events.GpuSubmit)}
    firsts = {e.key: e for e in stream.of(events.GpuFirstToken)}
    ends = {e.key: e for e in stream.of(events.GpuEnd)}
    told = {e.key: e for e in stream.of(events.PromptCached)}
    preemptions = Counter(e.key for e in stream.of(events.Preempted))
    starts: defaultdict[tuple[str, int], list[events.GpuStart]] = defaultdict(list)
    for event in stream.of(events.GpuStart):
        starts[event.key].append(event)
    return tuple(
        _record(
            ready,
            submits.get(ready.key),
            starts[ready.key],
            firsts.get(ready.key),
            ends.get(ready.key),
            told.get(ready.key),
            preemptions[ready.key],
        )
        for ready in stream.of(events.RoundReady)
    )


def _record(
    ready: events.RoundReady,
    submit: events.GpuSubmit | None,
    starts: Sequence[events.GpuStart],
    first: events.GpuFirstToken | None,
    end: events.GpuEnd | None,
    told: events.PromptCached | None,
    preemptions: int,
) -> RoundRecord:
    start = starts[0] if starts else None
    cache = start or told
    return RoundRecord(
        session=ready.session,
        round=ready.round,
        ready_at=ready.at,
        submitted_at=submit.at if submit else None,
        started_at=start.at if start else None,
        first_token_at=first.at if first else None,
        ended_at=end.at if end else None,
        ttft_ready_s=first.at - ready.at if first else None,
        ttft_submit_s=first.at - submit.at if first and submit else None,
        tpot_s=_tpot_s(first, end),
        prompt_tokens=submit.prompt_tokens if submit else None,
        output_tokens=end.output_tokens if end else None,
        cached_tokens=cache.cached_tokens if cache else None,
        loaded_tokens=start.loaded_tokens if start else None,
        reusable_tokens=cache.reusable_tokens if cache else None,
        recomputed_tokens=_total_lost([cache]) if cache else None,
        preempt_recomputed_tokens=_total_lost(starts[1:]) if starts else None,
        preemptions=preemptions,
    )


def _tpot_s(first: events.GpuFirstToken | None, end: events.GpuEnd | None) -> float | None:
    """Seconds per output token after the first; a round of one token has none."""
    if first is None or end is None or end.output_tokens < 2:
        return None
    return (end.at - first.at) / (end.output_tokens - 1)


def _total_lost(starts: Sequence[events.GpuStart | events.PromptCached]) -> int | None:
    """Tokens that these starts had to compute again; None when one of them does not know.

    The shared prefix of another session can make `cached` the larger: nothing was lost then.
    """
    lost = 0
    for start in starts:
        if start.cached_tokens is None or start.reusable_tokens is None:
            return None
        lost += max(0, start.reusable_tokens - start.cached_tokens - _loaded(start))
    return lost


def _loaded(start: events.GpuStart | events.PromptCached) -> int:
    """Tokens from host memory that are not among the cached: where nobody tells, they are."""
    return (start.loaded_tokens or 0) if isinstance(start, events.GpuStart) else 0


class TtftSplit(TypedDict):
    """Seconds to the first token: of first rounds, of later ones, and of all."""

    first: Distribution
    continuation: Distribution
    all: Distribution


class Ttft(TypedDict):
    """From when the round was ready (what the user feels), and from engine submit."""

    ready: TtftSplit
    submit: TtftSplit


class RoundIndexTtft(TypedDict):
    """P99 of TTFT over the rounds with one index, in seconds; `n` had a first token."""

    round: int
    n: int
    ready_p99: float | None
    submit_p99: float | None


def ttft(rounds: Sequence[RoundRecord]) -> Ttft:
    """TTFT both ways, first rounds and continuations apart."""
    return {
        "ready": _split(rounds, lambda r: r.ttft_ready_s),
        "submit": _split(rounds, lambda r: r.ttft_submit_s),
    }


def _split(
    rounds: Iterable[RoundRecord], seconds: Callable[[RoundRecord], float | None]
) -> TtftSplit:
    timed = [(r.round, seconds(r)) for r in rounds]
    return {
        "first": describe(s for index, s in timed if index == 0),
        "continuation": describe(s for index, s in timed if index > 0),
        "all": describe(s for _, s in timed),
    }


def ttft_by_round(rounds: Iterable[RoundRecord]) -> list[RoundIndexTtft]:
    """P99 of TTFT for every round index, ascending: does a session wait longer as it ages?"""
    by_index: defaultdict[int, list[RoundRecord]] = defaultdict(list)
    for record in rounds:
        by_index[record.round].append(record)
    return [_at_index(index, by_index[index]) for index in sorted(by_index)]


def _at_index(index: int, rounds: Sequence[RoundRecord]) -> RoundIndexTtft:
    ready = describe(r.ttft_ready_s for r in rounds)
    submit = describe(r.ttft_submit_s for r in rounds)
    return {
        "round": index,
        "n": ready["n"],
        "ready_p99": ready["p99"],
        "submit_p99": submit["p99"],
    }
