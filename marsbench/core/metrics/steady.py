"""The steady part of a run, and what is measured in it beside the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from marsbench.core.metrics.backlog import Backlog, backlog
from marsbench.core.metrics.goodput import Goodput, alpha_key, goodput
from marsbench.core.metrics.load import MachineUsage, kv_usage
from marsbench.core.metrics.percentiles import Distribution, describe
from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.sessions import SessionRecord, roots
from marsbench.core.metrics.stream import Stream
from marsbench.core.metrics.window import Throughput, Window, proper, throughput
from marsbench.core.session import is_warm

SKIPPED = 4
"""One session in so many, the first ones, is left out."""


class Steady(TypedDict):
    """The steady window: what was completed in it, and how those that arrived in it fared.

    arrived: sessions. throughput, kv_usage: of all that ran in the window. ttft: from when a round
    was ready, of all rounds that were ready in it. backlog: None where too few arrived to tell.
    """

    from_s: float
    to_s: float
    arrived: int
    throughput: Throughput
    goodput: dict[str, Goodput]
    latency: Distribution
    slowdown: Distribution
    ttft: Distribution
    kv_usage: MachineUsage
    backlog: Backlog | None


def steady(sessions: Sequence[SessionRecord]) -> Window | None:
    """From the arrival that a quarter of the sessions came before to the last arrival.

    It leaves out the ramp, when early sessions find an empty machine, and begins no session in the
    drain. The arrivals alone decide it, so that all backends are measured by the same sessions:
    a truncation that each run's own backlog decides (MSER-5, White 1997, DOI
    10.1177/003754979706900601) would hold one backend's sessions against another's. None when the
    last session arrived before any had ended.
    """
    own = roots(sessions)
    times = sorted(s.arrived_at for s in own)
    ends = [s.ended_at for s in own if s.ended_at is not None]
    if not ends or min(ends) > times[-1]:
        return None
    return proper(times[min(-(-len(times) // SKIPPED), len(times) - 1)], times[-1])


def steady_figures(
    stream: Stream,
    sessions: Sequence[SessionRecord],
    rounds: Sequence[RoundRecord],
    alphas: Sequence[float],
    total_blocks: int | None,
) -> Steady | None:
    """The figures of the steady window; None when the run has none."""
    window = steady(sessions)
    if window is None:
        return None
    arrived = [s for s in roots(sessions) if window.holds(s.arrived_at)]
    samples = stream.between(window.from_s, window.to_s)
    return {
        "from_s": window.from_s,
        "to_s": window.to_s,
        "arrived": len(arrived),
        "throughput": throughput(sessions, rounds, window),
        "goodput": {alpha_key(alpha): goodput(arrived, alpha, window) for alpha in alphas},
        "latency": describe(s.completion_s for s in arrived),
        "slowdown": describe(s.slowdown for s in arrived),
        "ttft": describe(r.ttft_ready_s for r in rounds if _counts(r, window)),
        "kv_usage": kv_usage(samples, total_blocks),
        "backlog": backlog(sessions, window),
    }


def _counts(rnd: RoundRecord, window: Window) -> bool:
    """All that were ready in it but the rest of a round that was under way at the start."""
    return window.holds(rnd.ready_at) and not (rnd.round == 0 and is_warm(rnd.session))
