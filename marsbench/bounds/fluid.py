"""The relaxation: work that flows, at points of time, through one GPU and one tool host.

y[p, k] is the share of piece p that is done at point k. Each bit of work of a real schedule is
split between the two points around it so that its mean instant stays; a point then does no more
than the mean of the two gaps around it has time for. So every schedule is a point of this LP:

    sum of y[p, .] = 1, or the share of its session that is good
    GPU at k:  steps[k] + sum of work[p] y[p, k] <= time[k]
               steps[k] >= sum over the pieces of session i of steps[p] y[p, k], for every i
               steps[k] >= sum over all pieces of steps[p] y[p, k] x their share of the KV cache
    tools at k:  sum of work[p] y[p, k] <= time[k]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, vstack

from marsbench.bounds.curves import Array
from marsbench.bounds.demand import Demand, Piece

LEVELS = (1, 2, 3, 4)
"""Of the dual feasible functions u_k that are asked: k sessions in a step, and no more."""

Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TimedDemand:
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


def fluid(jobs: Sequence[TimedDemand], points: Array) -> Fluid:
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
    jobs: Sequence[TimedDemand], pieces: Sequence[tuple[int, Piece]], points: Array
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
    """Rows: the GPU and the tool host at each point, then what says how many steps there are."""
    num_points, num = len(points), len(piece)
    at = np.arange(num_points)
    work = np.array([p.work_s for p in pieces])[piece]
    tool = np.array([p.kind == "tool" for p in pieces])[piece]
    machines = coo_array(
        (
            np.append(work, np.ones(num_points)),
            (np.append(point + num_points * tool, at), np.append(np.arange(num), num + at)),
        ),
        shape=(2 * num_points, num + num_points),
    )
    gaps = np.diff(points)
    time = (np.append(gaps, np.inf) + np.append(0.0, gaps)) / 2
    steps = vstack([_at_least(rows, point, num_points) for rows in _step_rows(pieces, piece)])
    return vstack([machines, steps]), np.concatenate([time, time, np.zeros(steps.shape[0])])


def _step_rows(pieces: Sequence[Piece], piece: Whole) -> Iterator[tuple[Array, Whole]]:
    """Seconds of steps that each column asks for, and the group in which they add up.

    A session is in a step once. The shares of the KV cache held in a step are one at most
    together, and so are any dual feasible function's of them (Fekete and Schepers 2001).
    """
    steps = np.array([p.steps_s for p in pieces])
    names = sorted({p.owner for p in pieces})
    owner = np.searchsorted(names, [p.owner for p in pieces])
    yield steps[piece], owner[piece]
    shares = np.array([p.kv_share for p in pieces])
    together = np.zeros(len(piece), dtype=np.int64)
    yield (steps * shares)[piece], together
    for k in LEVELS:
        times = (k + 1) * shares
        whole = np.floor(times)
        yield (steps * np.where(times == whole, shares, whole / k))[piece], together


def _at_least(asked: tuple[Array, Whole], point: Whole, num_points: int) -> coo_array:
    """Rows, one for each group and point: what its columns ask for less the point's steps."""
    seconds, group = asked
    column = np.flatnonzero(seconds > 0)
    pairs, row = np.unique(group[column] * num_points + point[column], return_inverse=True)
    steps = len(point) + pairs % num_points
    return coo_array(
        (
            np.append(seconds[column], -np.ones(len(pairs))),
            (np.append(row, np.arange(len(pairs))), np.append(column, steps)),
        ),
        shape=(len(pairs), len(point) + num_points),
    )
