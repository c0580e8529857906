"""Both bounds, as optima of the relaxation, by HiGHS."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, fsum

import numpy as np
from scipy.optimize import Bounds as Between
from scipy.optimize import LinearConstraint, milp
from scipy.sparse import coo_array, hstack

from marsbench.bounds.curves import Array
from marsbench.bounds.fluid import Fluid, TimedDemand, fluid

POINTS = 100
"""Of time, evenly, until the last session could have ended alone."""
GROWTH = 1.5
"""Of the gaps between points after that."""
SLACK = 1e-6
"""By which a solver's optimum is taken to be wrong, of itself."""


def least_mean_s(jobs: Sequence[TimedDemand]) -> float:
    """Mean seconds from arrival to end, at least.

    A task ends no sooner than its path, nor than the mean instant of any of its pieces and what
    follows that. Columns: the relaxation's, then the end of each task.
    """
    paths = [job.demand.path_s for job in jobs]
    flow = fluid(jobs, _points(jobs))
    tails = np.array([piece.mean_tail_s for piece in flow.pieces])
    instants = flow.of_pieces(flow.points[flow.point])
    rules = [
        _at_most(flow.limits, None, flow.room, len(jobs)),
        LinearConstraint(hstack([instants, -flow.of_jobs(len(jobs))]).tocsr(), -np.inf, -tails),
        _equal(flow.of_pieces(np.ones(len(flow.piece))), None, np.ones(len(tails)), len(jobs)),
    ]
    ends = [job.arrival_s + path for job, path in zip(jobs, paths, strict=True)]
    least = np.concatenate([np.zeros(flow.num_columns), ends])
    found = _least(flow, np.ones(len(jobs)), rules, Between(least, np.inf))
    arrivals = fsum(job.arrival_s for job in jobs)
    return max(fsum(paths), found * (1 - SLACK) - arrivals) / len(jobs)


def most_good(jobs: Sequence[TimedDemand]) -> int:
    """Tasks that can end when they are due, at most. Columns: then the share of each that is."""
    able = [job for job in jobs if job.arrival_s + job.demand.path_s <= job.due_at]
    if not any(job.demand.pieces for job in able):
        return len(able)
    flow = fluid(able, _points(able))
    whole = flow.of_pieces(np.ones(len(flow.piece)))
    rules = [
        _at_most(flow.limits, None, flow.room, len(able)),
        _equal(whole, -flow.of_jobs(len(able)), np.zeros(len(flow.pieces)), len(able)),
    ]
    most = np.concatenate([np.full(flow.num_columns, np.inf), np.ones(len(able))])
    found = _least(flow, -np.ones(len(able)), rules, Between(0, most))
    return min(len(able), floor(-found * (1 + SLACK) + SLACK))


def _least(flow: Fluid, costs: Array, rules: Sequence[LinearConstraint], values: Between) -> float:
    whole = np.concatenate([np.zeros(flow.num_columns), costs])
    found = milp(whole, constraints=rules, bounds=values)
    if found.fun is None:
        raise RuntimeError(f"HiGHS found no bound: {found.message}")
    return float(found.fun)


def _at_most(rows: coo_array, more: coo_array | None, room: Array, num: int) -> LinearConstraint:
    limited = np.isfinite(room)
    return LinearConstraint(_wider(rows, more, num).tocsr()[limited], -np.inf, room[limited])


def _equal(rows: coo_array, more: coo_array | None, to: Array, num: int) -> LinearConstraint:
    return LinearConstraint(_wider(rows, more, num).tocsr(), to, to)


def _wider(rows: coo_array, more: coo_array | None, num: int) -> coo_array:
    """The rows with `num` columns behind them, empty unless given."""
    return hstack([rows, coo_array((rows.shape[0], num)) if more is None else more])


def _points(jobs: Sequence[TimedDemand]) -> Array:
    """Evenly until all could have ended alone, then wider, until all work can be done."""
    end = max(job.arrival_s + job.demand.path_s for job in jobs)
    gap = end / POINTS
    points = [gap * k for k in range(POINTS + 1)]
    work = fsum(p.work_s + p.steps_s for job in jobs for p in job.demand.pieces)
    while points[-1] < end + work:
        gap *= GROWTH
        points.append(points[-1] + gap)
    return np.array(points)
