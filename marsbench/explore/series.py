"""The engine and the tool host over time, in equal bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marsbench.core.events import ToolEnd, ToolStart
from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.stream import Stream

BINS = 600
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Grid:
    """Equal bins from 0 to the run's end, in seconds."""

    end_s: float
    bins: int = BINS

    @property
    def step_s(self) -> float:
        return max(self.end_s, 1e-9) / self.bins

    @property
    def edges(self) -> Floats:
        return np.linspace(0.0, max(self.end_s, 1e-9), self.bins + 1)

    def place(self, at: Floats) -> NDArray[np.int64]:
        """The bin of each instant."""
        return np.minimum((np.asarray(at) / self.step_s).astype(np.int64), self.bins - 1)

    def mean(self, begins: Sequence[float], ends: Sequence[float]) -> Floats:
        """How many of these intervals are under way, on average over each bin."""
        edges = self.edges
        begun, over = (
            np.clip(edges[:, None] - np.sort(np.asarray(of, float))[None, :], 0, None).sum(axis=1)
            for of in (begins, ends)
        )
        return np.asarray(np.diff(begun - over) / self.step_s)

    def sums(self, at: Floats, values: Floats) -> Floats:
        """Of what happened in each bin."""
        found = np.bincount(self.place(at), weights=values, minlength=self.bins)
        return found.astype(np.float64)


def usage(stream: Stream, grid: Grid) -> dict[str, Floats | None]:
    """Blocks in use and held: the mean of each bin's samples; None where nobody measured them."""
    at = np.asarray(stream.usage.at)
    return {
        "used": _means(at, np.asarray(stream.usage.used_blocks), grid),
        "held": _means(at, np.asarray(stream.usage.held_blocks), grid),
    }


def _means(at: Floats, values: Floats, grid: Grid) -> Floats | None:
    known = ~np.isnan(values)
    if not known.any():
        return None
    counts = grid.sums(at[known], np.ones(known.sum()))
    sums = grid.sums(at[known], values[known])
    filled = np.flatnonzero(counts)
    return np.interp(np.arange(grid.bins), filled, sums[filled] / counts[filled])


def calls(stream: Stream, grid: Grid) -> dict[str, Floats]:
    """Tool calls under way, on average: those that burn CPU, and all others."""
    ends = {(*e.key, e.call): e.at for e in stream.of(ToolEnd)}
    found: dict[bool, tuple[list[float], list[float]]] = {True: ([], []), False: ([], [])}
    for start in stream.of(ToolStart):
        begins, overs = found[bool(start.burns_cpu)]
        begins.append(start.at)
        overs.append(ends.get((*start.key, start.call), stream.end_s))
    return {"burn CPU": grid.mean(*found[True]), "only wait": grid.mean(*found[False])}


def batch(rounds: Sequence[RoundRecord], end_s: float, grid: Grid) -> dict[str, Floats]:
    """Rounds in the engine on average: those that wait, compute their prompts, and generate."""
    found: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in ("wait", "prefill", "decode")
    }
    for r in rounds:
        instants = (r.submitted_at, r.started_at, r.first_token_at, r.ended_at)
        for (begins, ends), begin, end in zip(found.values(), instants, instants[1:], strict=False):
            if begin is not None:
                begins.append(begin)
                ends.append(end_s if end is None else end)
    return {name: grid.mean(*intervals) for name, intervals in found.items()}


def token_s(rounds: Sequence[RoundRecord], grid: Grid) -> Floats:
    """Seconds from one output token to the next, of those that generate: a step and its waits.

    NaN where nobody generates.
    """
    sums, counts = np.zeros(grid.bins), np.zeros(grid.bins)
    for r in rounds:
        if r.tpot_s is None or r.first_token_at is None or r.ended_at is None:
            continue
        first, last = grid.place(np.array([r.first_token_at, r.ended_at]))
        sums[first : last + 1] += r.tpot_s
        counts[first : last + 1] += 1
    return np.asarray(np.divide(sums, counts, out=np.full(grid.bins, np.nan), where=counts > 0))
