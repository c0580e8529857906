"""A round, ready to answered, as seconds by cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from marsbench.core.events import GpuStart, Preempted
from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.stream import Stream
from marsbench.judge.why.alone import Alone

Key = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundCost:
    """Where the time of an answered round went; None where it cannot be told.

    whole_s: from ready to its last token: entered_s (admission) + queue_s + the time it ran.
    alone_s: what it runs alone. recompute_s and found_s: as in Causes; lost_tokens is what
        recompute_s is the price of, preemptions included.
    contention_s: running, less alone_s, recompute_s and found_s.
    """

    record: RoundRecord
    whole_s: float
    entered_s: float
    queue_s: float | None
    alone_s: float | None = None
    recompute_s: float | None = None
    found_s: float | None = None
    contention_s: float | None = None
    lost_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Runs:
    """When each round was let run, and when it was preempted."""

    starts: Mapping[Key, Sequence[GpuStart]]
    preempted: Mapping[Key, Sequence[Preempted]]

    @staticmethod
    def of(stream: Stream) -> Runs:
        starts: defaultdict[Key, list[GpuStart]] = defaultdict(list)
        preempted: defaultdict[Key, list[Preempted]] = defaultdict(list)
        for start in stream.of(GpuStart):
            starts[start.key].append(start)
        for event in stream.of(Preempted):
            preempted[event.key].append(event)
        return Runs(starts, preempted)

    def queue_s(self, key: Key, since: float) -> float | None:
        """Seconds between `since`, or a preemption, and the start after it; None if it is not
        told how often the round started.
        """
        starts, left = self.starts.get(key, ()), self.preempted.get(key, ())
        if len(starts) != len(left) + 1:
            return None
        begins = (since, *(event.at for event in left))
        return fsum(start.at - at for at, start in zip(begins, starts, strict=True))


def cost_of(record: RoundRecord, entered_at: float, runs: Runs, alone: Alone | None) -> RoundCost:
    """Of a round that was answered. entered_at: when its session was let in, if that is later
    than when it was ready.
    """
    assert record.ended_at is not None, "only answered rounds have a cost"
    key = (record.session, record.round)
    entered_at = max(entered_at, record.ready_at)
    queue_s = runs.queue_s(key, entered_at)
    whole_s, entered_s = record.ended_at - record.ready_at, entered_at - record.ready_at
    starts = runs.starts.get(key, ())
    if alone is None or queue_s is None or not _tells(record, starts):
        return RoundCost(record=record, whole_s=whole_s, entered_s=entered_s, queue_s=queue_s)
    run_s = whole_s - entered_s - queue_s
    return _priced(record, starts, alone, (whole_s, entered_s, queue_s, run_s))


def _tells(record: RoundRecord, starts: Sequence[GpuStart]) -> bool:
    known = all(s.cached_tokens is not None and s.reusable_tokens is not None for s in starts)
    return known and record.prompt_tokens is not None and record.output_tokens is not None


def _priced(
    record: RoundRecord,
    starts: Sequence[GpuStart],
    alone: Alone,
    times: tuple[float, float, float, float],
) -> RoundCost:
    prompt, output = record.prompt_tokens or 0, record.output_tokens or 0
    whole_s, entered_s, queue_s, run_s = times
    own = [_Start(start, prompt) for start in starts]
    alone_s = alone.prefill_s(prompt, own[0].reusable) + alone.decode_s(prompt, output)
    recompute_s = fsum(one.price_s(alone) for one in own if one.lost > 0)
    found_s = own[0].price_s(alone) if own[0].lost < 0 else 0.0
    return RoundCost(
        record=record,
        whole_s=whole_s,
        entered_s=entered_s,
        queue_s=queue_s,
        alone_s=alone_s,
        recompute_s=recompute_s,
        found_s=found_s,
        contention_s=run_s - alone_s - recompute_s - found_s,
        lost_tokens=sum(one.lost for one in own if one.lost > 0),
    )


class _Start:
    """What a start found (on the GPU and from host memory), and what it could have found."""

    def __init__(self, start: GpuStart, prompt: int) -> None:
        self.found = (start.cached_tokens or 0) + (start.loaded_tokens or 0)
        self.reusable = start.reusable_tokens or 0
        self._prompt = max(prompt, self.reusable + 1 if start.resumed else prompt)

    @property
    def lost(self) -> int:
        """Tokens; below 0 where another session's work was found."""
        return self.reusable - self.found

    def price_s(self, alone: Alone) -> float:
        """Seconds alone of what was lost; below 0 of what was found beyond it."""
        as_was = alone.prefill_s(self._prompt, self.found)
        return as_was - alone.prefill_s(self._prompt, self.reusable)
