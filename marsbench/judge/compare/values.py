"""What a comparison says: one value, made of rows that tables and figures show as they are.

Every row names its place and backend. Rows of one kind are a long table (documents.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from marsbench.judge.compare.caps import Cap
from marsbench.judge.compare.causes import CauseDifference, CauseRow
from marsbench.judge.compare.figures import Figure
from marsbench.judge.compare.points import Matrix, Place
from marsbench.judge.compare.ranking import HeldRanking, Order
from marsbench.judge.intervals import Interval
from marsbench.judge.sweep.answer import Capacity
from marsbench.runs import CautionNote
from marsbench.runs.failures import Failure

Standing = Literal["better", "worse", "unclear"]
"""Against the baseline, by `marsbench.judge.intervals.side`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSource:
    """A run that was read: where it lies, where it stands, and what it is of.

    backend: the label used throughout the comparison. name, params: the backend itself.
    vllm: the label of the one that played, where it is not the pinned one.
    asked: the options of `marsbench run` as typed, where it made the run and kept them.
    """

    path: str
    place: Place
    backend: str
    seed: int | None
    name: str
    params: Mapping[str, Any]
    engine: str
    workload_hash: str
    workload_meta: Mapping[str, Any]
    hardware: Mapping[str, Any]
    settings: Mapping[str, Any]
    alphas: tuple[float, ...]
    asked: tuple[str, ...]
    code: str
    vllm: str | None
    sessions: int
    valid: bool
    reasons: tuple[str, ...]
    cautions: tuple[CautionNote, ...]
    failures: tuple[Failure, ...] = ()


class Estimate(NamedTuple):
    """A figure of a backend at a place: mean over its seeds, typical seed, lowest and highest.

    rank: 1 is best, by the mean of this figure alone, equals share one; None where the figure has
    no better side.
    """

    place: Place
    backend: str
    figure: Figure
    mean: float | None
    typical: Interval
    lowest: float | None
    highest: float | None
    seeds: int
    rank: int | None


class Difference(NamedTuple):
    """A backend against the baseline at a place, in one figure, paired by seed.

    difference: mean of the backend − mean of the baseline, in the figure's unit. ratio: one ÷ the
    other. typical_difference, typical_ratio: of the typical seed; no ratio where a seed's baseline
    is 0. lowest_ratio, highest_ratio: of one seed. ahead: in how many of the `seeds` that both have
    the backend is the better one; None where the figure has no better side.
    """

    place: Place
    backend: str
    baseline: str
    figure: Figure
    difference: float | None
    ratio: float | None
    typical_difference: Interval
    typical_ratio: Interval
    lowest_ratio: float | None
    highest_ratio: float | None
    standing: Standing
    ahead: int | None
    seeds: int


class Ranking(NamedTuple):
    """Best first, by goodput at the first α; lower mean latency between equals.

    Backends that are equal in both stand in one group.
    """

    place: Place
    order: Order


class CurvePoint(NamedTuple):
    """Goodput (a share of arrivals) at one α: mean over seeds, and the typical seed.

    The interval is of this one α: it does not hold for all of a curve at once.
    """

    place: Place
    backend: str
    alpha: float
    share: float
    typical: Interval


class Area(NamedTuple):
    """The area under goodput against α, from 1 to `to_alpha`, ÷ (to_alpha − 1): 1 is the best."""

    place: Place
    backend: str
    to_alpha: float
    area: float | None
    typical: Interval


class CdfPoint(NamedTuple):
    """Share of all arrived sessions, seeds pooled, with this slowdown or less."""

    place: Place
    backend: str
    slowdown: float
    share: float


class SizeRow(NamedTuple):
    """The sessions of one size (`fairness.py`), seeds pooled.

    from_tokens, to_tokens: the smallest and the largest session in it. good: share of them within
    the first α. Slowdowns are of those that finished.
    """

    place: Place
    backend: str
    size: str
    sessions: int
    from_tokens: int | None
    to_tokens: int | None
    good: float | None
    slowdown_mean: float | None
    slowdown_p50: float | None
    slowdown_p99: float | None
    slowdown_max: float | None


class TenantRow(NamedTuple):
    """The sessions of one tenant, seeds pooled.

    service: its share of all weighted tokens (docs/fairness.md); service_low, service_high: in the
    tenth of the run in which that is lowest and highest. None where the runs do not say.
    """

    place: Place
    backend: str
    tenant: str
    sessions: int
    good: float | None
    slowdown_mean: float | None
    slowdown_max: float | None
    service: float | None
    service_low: float | None
    service_high: float | None


class Fairness(NamedTuple):
    """How evenly slowdown falls, seeds pooled: Jain's index is 1 when all fare alike.

    jain_tenants and jain_sizes are of the mean slowdown of each tenant and of each third by size;
    None with one tenant. starved: sessions that never finished, or took over ten times as long as
    alone. unfinished: those of them that did not finish.
    """

    place: Place
    backend: str
    sessions: int
    jain_sessions: float | None
    jain_tenants: float | None
    jain_sizes: float | None
    worst_slowdown: float | None
    starved: int
    unfinished: int


class RoundRow(NamedTuple):
    """P99 TTFT over the rounds with one index, seeds pooled; seconds, both ways."""

    place: Place
    backend: str
    round: int
    rounds: int
    ready_p99_s: float | None
    submit_p99_s: float | None


class OfOracle(NamedTuple):
    """Goodput at the first α ÷ the oracle's at the same place, paired by seed.

    share: mean ÷ mean. typical: of the typical seed.
    """

    place: Place
    backend: str
    share: float | None
    typical: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that `compare` finds. Rows come place by place, backends in their order.

    sources: the runs. places: in which backends met, lightest first. backends: their labels in
    the order of the runs given, the same for colours everywhere. baseline: what differences are
    against. alphas: where goodput is taken; the first one ranks. confidence: of all intervals.
    matrix: the same runs as points, for what reads means only.
    held: whether the ranking held under what a sweep varies (variation, engine, hardware).
    causes: where the seconds of a session went; none where that was not asked for.
    caps: under which caps a fixed admission limit ran, and whether they were searched.
    cautions: one sentence each, on the comparison; those of single runs are in their sources.
    """

    sources: tuple[RunSource, ...]
    places: tuple[Place, ...]
    backends: tuple[str, ...]
    baseline: str
    alphas: tuple[float, ...]
    confidence: float
    matrix: Matrix
    estimates: tuple[Estimate, ...]
    differences: tuple[Difference, ...]
    rankings: tuple[Ranking, ...]
    held: Mapping[str, Sequence[HeldRanking]]
    curves: tuple[CurvePoint, ...]
    areas: tuple[Area, ...]
    cdf: tuple[CdfPoint, ...]
    sizes: tuple[SizeRow, ...]
    tenants: tuple[TenantRow, ...]
    fairness: tuple[Fairness, ...]
    ttft_by_round: tuple[RoundRow, ...]
    of_oracle: tuple[OfOracle, ...]
    causes: tuple[CauseRow, ...]
    cause_differences: tuple[CauseDifference, ...]
    caps: tuple[Cap, ...]
    capacities: tuple[Capacity, ...]
    cautions: tuple[str, ...]


class EvictionPoint(NamedTuple):
    """Blocks of 16 tokens a second that left the cache around `at_s`; `live`: of open sessions."""

    place: Place
    backend: str
    seed: int | None
    at_s: float
    blocks_per_s: float
    live_blocks_per_s: float


class KvPoint(NamedTuple):
    """Shares of the KV cache: of running requests, and held for paused sessions."""

    place: Place
    backend: str
    seed: int | None
    at_s: float
    used_share: float
    held_share: float | None


class ToolsPoint(NamedTuple):
    """Tool calls in flight, on average around `at_s`."""

    place: Place
    backend: str
    seed: int | None
    at_s: float
    in_flight: float


@dataclass(frozen=True, slots=True)
class Traces:
    """What happened over time, in at most `TRACE_POINTS` equal spans of a run; one seed each."""

    evictions: tuple[EvictionPoint, ...]
    kv: tuple[KvPoint, ...]
    tools: tuple[ToolsPoint, ...]
