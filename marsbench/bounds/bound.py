"""Both bounds of a workload on hardware, under any policy and any admission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from marsbench.bounds.curves import LowestStep
from marsbench.bounds.demand import Demand, Needing, demand, relieved
from marsbench.bounds.fluid import TimedDemand
from marsbench.bounds.prices import best_prices
from marsbench.bounds.rounds import needs, shared_groups
from marsbench.bounds.solve import least_mean_s, most_good
from marsbench.core.settings import EngineSettings
from marsbench.core.workload.files import Workload
from marsbench.errors import UsageError
from marsbench.hardware.profile import Hardware

SLACK_S = 1e-6
"""By which a deadline is later here, so that rounding of clocks costs no session its place."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """mean_latency_s: of all sessions, at least. good: by alpha, sessions at most."""

    num_sessions: int
    mean_latency_s: float
    good: Mapping[float, int]


def bounds(
    workload: Workload,
    hardware: Hardware,
    settings: EngineSettings,
    tool_cores: int,
    ideal_s: Mapping[str, float],
    alphas: Sequence[float],
    resumes: Mapping[str, int] | None = None,
) -> Bounds:
    """What no schedule passes.

    ideal_s: seconds of each session alone, as goodput takes them.
    resumes: by session, how often a round of it (or of its sub-agents) went on after it was
        preempted, at most; none where it is not named.
    Raises UsageError for a workload of lanes, whose arrivals are themselves a schedule's.
    """
    if workload.lanes is not None:
        raise UsageError(
            f"{workload.name} keeps {workload.lanes} lanes busy, so that its arrivals are a "
            "schedule's; bounds are of workloads with arrivals of their own: make one with --rate."
        )
    demands = demands_of(workload, hardware, settings, tool_cores, resumes)
    jobs = [TimedDemand(s.arrival_s, d) for s, d in zip(workload.sessions, demands, strict=True)]

    def due(alpha: float) -> list[TimedDemand]:
        ideals = [alpha * ideal_s[session.id] for session in workload.sessions]
        return [
            replace(job, due_at=job.arrival_s + late + SLACK_S)
            for job, late in zip(jobs, ideals, strict=True)
        ]

    good = {alpha: most_good(due(alpha)) for alpha in alphas}
    return Bounds(len(jobs), least_mean_s(jobs), good)


def demands_of(
    workload: Workload,
    hardware: Hardware,
    settings: EngineSettings,
    tool_cores: int,
    resumes: Mapping[str, int] | None = None,
) -> list[Demand]:
    """What every session needs at least, in the workload's order; as `bounds` takes them."""
    needing = _needing(workload, hardware, settings, tool_cores)
    wholes = ((session.id, demand(session, needing)) for session in workload.sessions)
    known = resumes or {}
    return [relieved(whole, known.get(name, 0), needing.prices) for name, whole in wholes]


def _needing(
    workload: Workload, hardware: Hardware, settings: EngineSettings, tool_cores: int
) -> Needing:
    block_size = settings.block_size
    groups = shared_groups(workload.sessions)
    everyone = [session for root in workload.sessions for session in root.walk()]
    found = [need for session in everyone for need in needs(session, groups, block_size)]
    lowest = LowestStep(
        hardware.step_time,
        settings.max_num_batched_tokens,
        settings.max_num_seqs,
        max(session.peak_tokens for session in everyone) + 1,
    )
    kv_tokens = settings.num_blocks(hardware) * block_size
    return Needing(best_prices(lowest, found, kv_tokens), groups, block_size, kv_tokens, tool_cores)
