"""The relaxation: work that flows, at points of time, through one GPU and one tool host.

y[p, k] is the share of piece p that is done at point k. Each bit of work of a real schedule is
split between the two points around it so that its mean instant stays; a point then does no more
than the mean of the two gaps around it has time for. So every schedule is a point of this LP:

    sum of y[p, .] = 1, or the share of its session that is good
    GPU at k:  steps[k] + sum of work[p] y[p, k] <= time[k]
               steps[k] >= sum over the pieces of session i of steps[p] y[p, k], for every i
    tools at k:  sum of work[p] y[p, k] <= time[k]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from marsbench.bounds.curves import Array
from marsbench.bounds.demand import Demand, Piece

Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Job:
    """A task: its arrival, and what it demands. due_at: when it has to end; inf if never."""

    arrival_s: float
    demand: Demand
    due_at: float = np.inf


@dataclass(frozen=True, slots=True)
class Fluid:
    """Columns: one for each (piece, point) that may be, then `steps` for each point.

    piece, point: of each column of the first kind. job: of each piece.
    """

    points: Array
    pieces: tuple[Piece, ...]
    job: Whole
    piece: Whole
    point: Whole
    limits: coo_array
    room: Array

    @property
    def num_columns(self) -> int:
        return len(self.piece) + len(self.points)

    def of_pieces(self, values: Array) -> coo_array:
        """Rows: for each piece the sum of its columns' values."""
        shape = (len(self.pieces), self.num_columns)
        return coo_array((values, (self.piece, np.arange(len(self.piece)))), shape=shape)

    def of_jobs(self, num: int) -> coo_array:
        """Rows: for each piece its job's column, of so many."""
        places = np.arange(len(self.pieces))
        shape = (len(places), num)
        return coo_array((np.ones(len(places)), (places, self.job)), shape=shape)


def fluid(jobs: Sequence[Job], points: Array) -> Fluid:
    """points: instants in order; no work is before the first, any amount fits at the last."""
    pieces = [(j, piece) for j, job in enumerate(jobs) for piece in job.demand.pieces]
    first, last = _windows(jobs, pieces, points)
    counts = np.maximum(0, last - first + 1)
    piece = np.repeat(np.arange(len(pieces)), counts)
    point = np.concatenate([np.arange(a, b + 1) for a, b in zip(first, last, strict=True)])
    limits, room = _limits([p for _, p in pieces], piece, point, points)
    return Fluid(
        points,
        tuple(p for _, p in pieces),
        np.array([j for j, _ in pieces]),
        piece,
        point,
        limits,
        room,
    )


def _windows(
    jobs: Sequence[Job], pieces: Sequence[tuple[int, Piece]], points: Array
) -> tuple[Whole, Whole]:
    """Of each piece the first and the last point at which some of it may be."""
    begin = np.array([jobs[j].arrival_s + piece.head_s for j, piece in pieces])
    end = np.array([jobs[j].due_at - piece.tail_s for j, piece in pieces])
    first = np.maximum(0, np.searchsorted(points, begin, "right") - 1)
    last = np.minimum(len(points) - 1, np.searchsorted(points, end, "left"))
    return first, last


def _limits(
    pieces: Sequence[Piece], piece: Whole, point: Whole, points: Array
) -> tuple[coo_array, Array]:
    num_points, num = len(points), len(piece)
    work = np.array([p.work_s for p in pieces])[piece]
    steps = np.array([p.steps_s for p in pieces])[piece]
    tool = np.array([p.kind == "tool" for p in pieces])[piece]
    names = sorted({p.owner for p in pieces})
    owner = np.searchsorted(names, [p.owner for p in pieces])[piece]
    column, own = np.arange(num), np.flatnonzero(steps > 0)
    # Rows: the GPU at each point, the tool host at each point, then the steps of each session.
    pairs, row = np.unique(owner[own] * num_points + point[own], return_inverse=True)
    at = np.arange(num_points)
    below = np.arange(len(pairs))
    values = [work, np.ones(num_points), steps[own], -np.ones(len(pairs))]
    rows = [point + num_points * tool, at, 2 * num_points + row, 2 * num_points + below]
    columns = [column, num + at, own, num + pairs % num_points]
    matrix = coo_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(2 * num_points + len(pairs), num + num_points),
    )
    gaps = np.diff(points)
    time = (np.append(gaps, np.inf) + np.append(0.0, gaps)) / 2
    return matrix, np.concatenate([time, time, np.zeros(len(pairs))])
