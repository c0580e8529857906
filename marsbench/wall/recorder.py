"""What happened, put in order: events as they are learnt become a stream sorted by time.

An event is often learnt a little after it happened: a time stamp is taken when bytes arrive, and
an arrival counts from when it was due. So events wait for a while and are written in order.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marsbench.core.events import Event
from marsbench.wall.clock import WallClock

TICK_S = 0.25


class Recorder:
    """Takes events in any order, hands them on by time. Call it with an event; `tick` now and then.

    Whatever is learnt within one tick of its time, and `patience_s` wall seconds, finds its place;
    what comes later still is given the time of the last event written: time never goes back.
    """

    def __init__(
        self, emit: Callable[[Event], None], clock: WallClock, patience_s: float = 0.0
    ) -> None:
        self._emit = emit
        self._clock = clock
        self._heap: list[tuple[float, int, Event]] = []
        self._sequence = 0
        self._patience = patience_s * clock.speed
        self._frontier = 0.0
        self._written = 0.0

    def __call__(self, event: Event) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (max(event.at, 0.0), self._sequence, event))

    def tick(self) -> None:
        """Write what happened before the last tick."""
        self._write(self._frontier - self._patience)
        self._frontier = self._clock.now

    def close(self) -> None:
        """Write the rest."""
        self._write(float("inf"))

    def _write(self, upto: float) -> None:
        while self._heap and self._heap[0][0] <= upto:
            at, _, event = heapq.heappop(self._heap)
            self._written = max(self._written, at)
            if event.at != self._written:
                event = dataclasses.replace(event, at=self._written)
            self._emit(event)


class TokenTimes:
    """When every token came: a row a round, written as one Parquet table."""

    def __init__(self) -> None:
        self._sessions: list[str] = []
        self._rounds: list[int] = []
        self._at: list[NDArray[np.float64]] = []
        self._counts: list[NDArray[np.int32] | None] = []

    def add(
        self, session: str, number: int, at: NDArray[np.float64], counts: Sequence[int] | None
    ) -> None:
        """The times (the run's seconds) of a round's events, and tokens in each if known."""
        self._sessions.append(session)
        self._rounds.append(number)
        self._at.append(at)
        self._counts.append(None if counts is None else np.array(counts, np.int32))

    def write(self, path: Path) -> None:
        """Columns session, round, at (list of seconds), tokens (list, as long; null if unknown)."""
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        columns = {
            "session": pa.array(self._sessions, pa.string()),
            "round": pa.array(self._rounds, pa.int64()),
            "at": pa.array(self._at, pa.list_(pa.float64())),
            "tokens": pa.array(self._counts, pa.list_(pa.int32())),
        }
        pq.write_table(pa.table(columns), path, compression="zstd")
