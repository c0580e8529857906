"""The figures of one run: every metric, computed once from the events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from marsbench.core.events import Event, Preempted, PreemptionCount, Unmeasured
from marsbench.core.metrics import cache, load
from marsbench.core.metrics.branches import BranchFigures, branch_figures
from marsbench.core.metrics.fairness import SLICES, FairnessFigures, jain, service, worst
from marsbench.core.metrics.goodput import Goodput, alpha_key, goodput
from marsbench.core.metrics.host_kv import HostKvFigures, host_kv
from marsbench.core.metrics.percentiles import Distribution, describe
from marsbench.core.metrics.replicas import ReplicaFigures, replica_figures
from marsbench.core.metrics.rounds import (
    RoundIndexTtft,
    RoundRecord,
    Ttft,
    rounds_of,
    ttft,
    ttft_by_round,
)
from marsbench.core.metrics.sessions import SessionCounts, SessionRecord, count, roots, sessions_of
from marsbench.core.metrics.steady import Steady, steady_figures
from marsbench.core.metrics.stream import Stream, UsageColumns
from marsbench.core.metrics.swaps import Swaps, swaps
from marsbench.core.metrics.window import (
    Throughput,
    Window,
    arrivals,
    arrived_in,
    measured_arrivals,
    throughput,
    whole_run,
)
from marsbench.core.session import is_warm

DEFAULT_ALPHAS = (3.0,)


class TenantFigures(TypedDict):
    """What the sessions of one tenant experienced; goodput's rate is per second of the run."""

    sessions: SessionCounts
    goodput: dict[str, Goodput]
    latency: Distribution
    slowdown: Distribution


class Summary(TypedDict):
    """The figures of one run; seconds, tokens and blocks. docs/metrics.md defines each.

    A figure that was not measured is None. `tenants` is empty when there is only one. `host_kv` is
    there where vLLM's own offloading copied something, `replicas` and `fairness` where there were
    several replicas, or tenants, `branches` where sub-agents ran side by side.
    """

    sessions: SessionCounts
    makespan_s: float | None
    goodput: dict[str, Goodput]
    latency: Distribution
    slowdown: Distribution
    admission_wait: Distribution
    ttft: Ttft
    ttft_by_round: list[RoundIndexTtft]
    tpot: Distribution
    throughput: Throughput
    steady: Steady | None
    preemptions: int | None
    evictions: cache.Evictions
    swaps: Swaps
    host_kv: NotRequired[HostKvFigures]
    replicas: NotRequired[ReplicaFigures]
    branches: NotRequired[BranchFigures]
    prefix_hit_rate: cache.HitRate
    kv_usage: load.MachineUsage
    tools_in_flight: load.Level
    cpu_calls: load.Level
    waiting: load.Waiting
    tenants: dict[str, TenantFigures]
    fairness: NotRequired[FairnessFigures]


@dataclass(frozen=True, slots=True)
class Measured:
    """A run's summary with the tables that are kept beside it, and the engine's samples."""

    summary: Summary
    rounds: tuple[RoundRecord, ...]
    sessions: tuple[SessionRecord, ...]
    evictions: cache.EvictionSeries
    usage: UsageColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What the events do not say and the metrics need.

    ideal_s: seconds that each session takes alone. alphas: where goodput is taken.
    block_size: tokens a block. total_blocks: blocks of the KV cache.
    unmeasured: event kinds that the engine cannot see, so that none of them means nothing.
    warm_up_s, cool_down_s: arrivals that are played and not measured, at the first and at the last.
    """

    ideal_s: Mapping[str, float] | None = None
    alphas: Sequence[float] = DEFAULT_ALPHAS
    block_size: int | None = None
    total_blocks: int | None = None
    unmeasured: Collection[str] = ()
    warm_up_s: float = 0.0
    cool_down_s: float = 0.0


def measure(events: Iterable[Event] | Stream, scale: Scale) -> Measured:
    """The figures of a run and its tables.

    Raises UsageError for an α below 1, ValueError for an ideal time that is not positive.
    """
    stream = events if isinstance(events, Stream) else Stream(events)
    rounds = rounds_of(stream)
    sessions = sessions_of(stream, rounds, scale.ideal_s)
    run = whole_run(sessions, stream.end_s)
    summary = _figures(stream, rounds, sessions, run, scale)
    series = cache.eviction_series(stream, sessions, run)
    return Measured(summary, rounds, sessions, series, stream.usage)


def _figures(
    stream: Stream,
    rounds: Sequence[RoundRecord],
    sessions: Sequence[SessionRecord],
    run: Window | None,
    scale: Scale,
) -> Summary:
    window = measured_arrivals(sessions, scale.warm_up_s, scale.cool_down_s)
    kept = arrived_in(sessions, window)
    names = {session.session for session in kept}
    own = [r for r in rounds if r.session in names]
    seen_start = [r for r in own if not is_warm(r.session)]
    marked = window or run
    seen = stream if window is None else stream.between(window.from_s, window.to_s)
    fates = _fates(kept, marked, scale.alphas)
    unmeasured = {*scale.unmeasured, *(event.what for event in stream.of(Unmeasured))}
    lost = cache.evictions(
        seen,
        sessions,
        own,
        marked,
        block_size=scale.block_size,
        unmeasured=unmeasured,
    )
    figures: Summary = {
        "sessions": count(sessions),
        "makespan_s": run.length_s if run else None,
        "goodput": fates["goodput"],
        "latency": fates["latency"],
        "slowdown": fates["slowdown"],
        "admission_wait": describe(s.admission_wait_s for s in roots(kept)),
        "ttft": ttft(seen_start),
        "ttft_by_round": ttft_by_round(seen_start),
        "tpot": describe(r.tpot_s for r in seen_start),
        "throughput": throughput(sessions, rounds, marked),
        "steady": steady_figures(stream, sessions, rounds, scale.alphas, scale.total_blocks),
        "preemptions": _preemptions(seen, unmeasured),
        "evictions": lost,
        "swaps": swaps(seen, own, unmeasured),
        "prefix_hit_rate": cache.hit_rate(seen_start),
        "kv_usage": load.kv_usage(seen, scale.total_blocks),
        "tools_in_flight": load.tools_in_flight(stream, marked),
        "cpu_calls": load.cpu_calls(stream, marked),
        "waiting": load.waiting(rounds, marked, window or arrivals(sessions)),
        "tenants": _tenants(kept, marked, scale.alphas),
    }
    if figures["tenants"]:
        figures["fairness"] = _fairness(figures["tenants"], rounds, sessions, run)
    offloaded = host_kv(seen, marked)
    if offloaded is not None:
        figures["host_kv"] = offloaded
    several = replica_figures(stream)
    if several is not None:
        figures["replicas"] = several
    fanned = branch_figures(stream, kept, rounds)
    if fanned is not None:
        figures["branches"] = fanned
    return figures


def _preemptions(stream: Stream, unmeasured: Collection[str]) -> int | None:
    """Those that were seen; or, where a server only counts them, what it counted in the run."""
    if Preempted.kind not in unmeasured:
        return len(stream.of(Preempted))
    totals = [event.total for event in stream.of(PreemptionCount)]
    return totals[-1] - totals[0] if len(totals) > 1 else None


def _fates(
    sessions: Sequence[SessionRecord], run: Window | None, alphas: Sequence[float]
) -> TenantFigures:
    """The figures that are about sessions alone; of one tenant, or of all."""
    own = roots(sessions)
    return {
        "sessions": count(sessions),
        "goodput": {alpha_key(alpha): goodput(own, alpha, run) for alpha in alphas},
        "latency": describe(s.completion_s for s in own),
        "slowdown": describe(s.slowdown for s in own),
    }


def _tenants(
    sessions: Sequence[SessionRecord], run: Window | None, alphas: Sequence[float]
) -> dict[str, TenantFigures]:
    names = sorted({s.tenant for s in sessions})
    if len(names) < 2:
        return {}
    return {name: _fates([s for s in sessions if s.tenant == name], run, alphas) for name in names}


def _fairness(
    tenants: Mapping[str, TenantFigures],
    rounds: Sequence[RoundRecord],
    sessions: Sequence[SessionRecord],
    run: Window | None,
) -> FairnessFigures:
    means = (own["slowdown"]["mean"] for own in tenants.values())
    alphas = next(iter(tenants.values()))["goodput"]
    return {
        "jain_slowdown": jain([mean for mean in means if mean is not None]),
        "worst_goodput": {
            alpha: worst({name: own["goodput"][alpha] for name, own in tenants.items()})
            for alpha in alphas
        },
        "slice_s": run.length_s / SLICES if run else None,
        "service": service(rounds, sessions, run),
    }
