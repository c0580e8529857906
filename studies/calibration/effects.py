"""Regressions of a stated size whose scatter is measured.

A pair of real runs, one on a slower GPU, says by which factor each of its sessions was slowed.
Those factors, stretched until mean latency has changed by just so much, are laid on the sessions
of other seeds: a pair is drawn for each seed, and its factors in any order. So the size is ours,
and how it differs between seeds and sessions is as it was found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from marsbench.core.metrics.goodput import goodput
from marsbench.core.metrics.percentiles import describe
from marsbench.core.metrics.sessions import SessionRecord
from marsbench.judge.compare.figures import LATENCY, Figure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ALPHA = 2.0
"""Where goodput is taken: on this workload it moves at 2, and hardly at 3."""

Sessions = Sequence[SessionRecord]

FIGURES: Mapping[Figure, Callable[[Sessions], float | None]] = {
    LATENCY: lambda sessions: describe(s.completion_s for s in sessions)["mean"],
    Figure("latency_p95_s"): lambda sessions: describe(s.completion_s for s in sessions)["p95"],
    Figure("slowdown_mean"): lambda sessions: describe(s.slowdown for s in sessions)["mean"],
    Figure("goodput", ALPHA): lambda sessions: goodput(sessions, ALPHA, None)["share"],
}
"""The figures that are of sessions alone, and so can be taken of sessions that nobody played."""


def figures(runs: Sequence[Sessions], names: Sequence[Figure]) -> dict[Figure, Floats]:
    """Figures of sessions, a number a run each; NaN where one has none."""
    import numpy as np

    return {name: np.array([FIGURES[name](run) for run in runs], dtype=float) for name in names}


def slowed(
    runs: Sequence[Sessions],
    pairs: Sequence[tuple[Sessions, Sessions]],
    size: float,
    rng: np.random.Generator,
) -> list[Sessions]:
    """The runs with each session's latency changed so that their mean changes by `size`."""
    latency = [_latency_s(run) for run in runs]
    drawn = [_excess(pairs, len(run), rng) for run in runs]
    weight = math.fsum(float(own.mean()) for own in latency)
    parts = zip(latency, drawn, strict=True)
    moved = math.fsum(float((own * part).mean()) for own, part in parts)
    stretch = size * weight / moved
    return [_times(run, 1 + stretch * part) for run, part in zip(runs, drawn, strict=True)]


def _excess(
    pairs: Sequence[tuple[Sessions, Sessions]], number: int, rng: np.random.Generator
) -> Floats:
    """By how much more than 1 the sessions of one real pair were slowed, in any order."""
    base, slower = pairs[int(rng.integers(len(pairs)))]
    excess = _latency_s(slower) / _latency_s(base) - 1
    return excess[rng.permutation(len(excess))[:number]]


def _latency_s(sessions: Sessions) -> Floats:
    import numpy as np

    return np.array([s.completion_s for s in sessions], dtype=float)


def _times(sessions: Sessions, factors: Floats) -> Sessions:
    return [_slower(s, float(factor)) for s, factor in zip(sessions, factors, strict=True)]


def _slower(session: SessionRecord, factor: float) -> SessionRecord:
    times = session.completion_s, session.slowdown
    completion_s, slowdown = (None if value is None else value * factor for value in times)
    return replace(session, completion_s=completion_s, slowdown=slowdown)
