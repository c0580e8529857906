"""Regressions of a stated size whose scatter is measured.

A pair of real runs, one on a slower GPU, says by which factor each of its sessions was slowed.
Those factors, stretched until mean latency has changed by just so much, are laid on the sessions
of other seeds: a pair is drawn for each seed, and its factors in any order. So the size is ours,
and how it differs between seeds and sessions is as it was found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from marsbench.judge.compare.sessions import Sessions, statistics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ALPHA = 2.0
"""Where goodput is taken: on this workload it moves at 2, and hardly at 3."""

Columns = Mapping[str, "Floats"]


def figures(runs: Sequence[Sessions], names: Sequence[str]) -> dict[str, Floats]:
    """Figures that are of sessions, a number a run each."""
    import numpy as np

    known = statistics((ALPHA,))
    return {
        name: np.array([float(known[name](run.latency_s, run.slowdown)) for run in runs])
        for name in names
    }


def slowed(
    runs: Sequence[Sessions],
    pairs: Sequence[tuple[Sessions, Sessions]],
    size: float,
    rng: np.random.Generator,
) -> list[Sessions]:
    """The runs with each session's latency changed so that their mean changes by `size`."""
    drawn = [_excess(pairs, len(run.names), rng) for run in runs]
    weight = math.fsum(float(run.latency_s.mean()) for run in runs)
    parts = zip(runs, drawn, strict=True)
    moved = math.fsum(float((run.latency_s * part).mean()) for run, part in parts)
    stretch = size * weight / moved
    return [_times(run, 1 + stretch * part) for run, part in zip(runs, drawn, strict=True)]


def _excess(
    pairs: Sequence[tuple[Sessions, Sessions]], number: int, rng: np.random.Generator
) -> Floats:
    """By how much more than 1 the sessions of one real pair were slowed, in any order."""
    base, slower = pairs[int(rng.integers(len(pairs)))]
    excess = slower.latency_s / base.latency_s - 1
    return excess[rng.permutation(len(excess))[:number]]


def _times(run: Sessions, factor: Floats) -> Sessions:
    return Sessions(
        run.names, run.tenants, run.latency_s * factor, run.slowdown * factor, run.tokens
    )
