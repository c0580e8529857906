"""How far a run is from steady: whether sessions pile up while others still arrive."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import TypedDict

from marsbench.core.metrics.load import mean_in_flight
from marsbench.core.metrics.sessions import SessionRecord, roots, tops
from marsbench.core.metrics.window import Window

NUM_BATCHES = 10
"""Schmeiser (1982, DOI 10.1287/opre.30.3.556): ten to thirty; more batches narrow little."""

STUDENT_T = 2.2621571628
"""The 97.5th percentile of Student's t with NUM_BATCHES - 1 degrees of freedom."""

SMALLEST_BATCH = 5
"""Arrivals a batch: with fewer, a run is too short to tell."""


class Backlog(TypedDict):
    """Sessions in flight, those that wait for admission too: arrived and not ended.

    drift: by how many the backlog grows while one session arrives: 0 in a steady state, 1 where
    none ends; with its 95 % interval. at_start, at_end: of the window that it is taken over.
    """

    at_start: int
    at_end: int
    mean: float
    drift: float
    drift_low: float
    drift_high: float


def backlog(sessions: Sequence[SessionRecord], window: Window) -> Backlog | None:
    """The drift of the backlog in the window, by batch means; None with too few arrivals.

    The batches hold equally many arrivals; what does not fill one is left out at the front. The
    drift is the mean of the batches' growth ÷ arrivals, its interval Student's t over the batches.
    Where more arrives than can be served, batches grow alike and independently, as the method
    asks. Where the state is steady, a batch that grew is followed by one that shrinks, so that
    their sum varies less than the method takes it to: the interval is then too wide, not too
    narrow. The slope of a line through the levels would be surer of itself than it may be.
    """
    times = sorted(s.arrived_at for s in roots(sessions) if window.holds(s.arrived_at))
    size = (len(times) - 1) // NUM_BATCHES
    if size < SMALLEST_BATCH:
        return None
    edges = times[len(times) - 1 - size * NUM_BATCHES :: size]
    levels = _levels(sessions, edges)
    growth = [(after - before) / size for before, after in pairwise(levels)]
    drift = math.fsum(growth) / NUM_BATCHES
    spread = math.fsum((g - drift) * (g - drift) for g in growth) / (NUM_BATCHES - 1)
    half = STUDENT_T * math.sqrt(spread / NUM_BATCHES)
    return {
        "at_start": levels[0],
        "at_end": levels[-1],
        "mean": mean_in_flight(_stays(sessions, window.to_s), window),
        "drift": drift,
        "drift_low": drift - half,
        "drift_high": drift + half,
    }


def _stays(sessions: Sequence[SessionRecord], end_s: float) -> list[tuple[float, float]]:
    return [(s.arrived_at, end_s if s.ended_at is None else s.ended_at) for s in tops(sessions)]


def _levels(sessions: Sequence[SessionRecord], instants: Sequence[float]) -> list[int]:
    """Sessions in flight just before each instant, those of the run's start with them."""
    own = tops(sessions)
    begun = sorted(s.arrived_at for s in own)
    over = sorted(s.ended_at for s in own if s.ended_at is not None)
    return [bisect_left(begun, at) - bisect_left(over, at) for at in instants]
