"""The tool host in virtual time: CPU-bound tool calls, of one thread or several, share N cores.

Processor sharing among threads: a call that can use c cores is c threads of equal work. While n
threads burn CPU, each runs at min(1, cores/n) cores, as Linux's fair scheduler gives them over
periods longer than its slice, whichever process they are of; a call gets c times that. So a call
never has more than its c cores, no core idles while a thread could use it, and where there are too
few, a parallel build has more of them than a single-threaded test beside it. An optional FIFO pool
bounds how many calls run at once, whether they burn or wait.

All busy threads are served alike, so one number says how far each has come: the service S, in
CPU-seconds, that a thread busy since the start would have received (the virtual time of
generalized processor sharing with weights c, Parekh and Gallager 1993). A call that starts at S0
has had its `cpu_s` when S reaches S0 + cpu_s / c, so a change in the number of calls moves no entry
of the heap.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Hashable, Iterator
from itertools import takewhile
from typing import NamedTuple

from marsbench.errors import UsageError


class _Call(NamedTuple):
    """A call in a heap: `due` is a service (CPU-seconds) while busy, then the end (seconds)."""

    due: float
    order: int
    key: Hashable
    floor_at: float
    cores: int


class _Queued(NamedTuple):
    order: int
    key: Hashable
    cpu_s: float
    floor_s: float
    asked_at: float
    cores: int


class ToolHost:
    """Processor sharing over `cores`, with at most `workers` calls at once (None: no bound).

    A call ends when its CPU-seconds are served and its floor has passed; the floor counts from
    when a worker takes the call.
    """

    def __init__(self, cores: int, workers: int | None = None) -> None:
        if cores < 1:
            raise UsageError(f"The tool host needs at least 1 core, not {cores}.")
        if workers is not None and workers < 1:
            raise UsageError(f"The tool host needs at least 1 worker, not {workers}.")
        self.cores = cores
        self.workers = workers
        self._now = 0.0
        self._service = 0.0
        self._order = 0
        self._threads = 0  # of all busy calls
        self._busy: list[_Call] = []
        self._floor: list[_Call] = []
        self._queue: deque[_Queued] = deque()
        self._ended: list[tuple[float, int, Hashable]] = []
        self._queued_s: dict[Hashable, float] = {}

    def __len__(self) -> int:
        """Calls that were started and have not been popped."""
        return len(self._busy) + len(self._floor) + len(self._queue) + len(self._ended)

    def num_burning(self, now: float) -> int:
        """Calls that burn CPU at `now`, or wait for a worker to do so; asking moves nothing.

        now: not before anything that was played. A call whose CPU-seconds end just then counts.
        """
        over = sum(1 for _ in takewhile(lambda end: end[0] < now, self._cpu_ends()))
        return len(self._busy) - over + sum(call.cpu_s > 0 for call in self._queue)

    def start(
        self, key: Hashable, cpu_s: float, floor_s: float, now: float, cores: int = 1
    ) -> None:
        """A call arrives; it runs at once, or waits for a worker.

        cpu_s: CPU-seconds of all its threads together. cores: how many threads those are.
        """
        self._advance(now)
        call = _Queued(self._order, key, cpu_s, floor_s, now, cores)
        self._order += 1
        if self._has_worker():
            self._run(call, now)
            self._end_floors(now)
        else:
            self._queue.append(call)

    def next_end(self) -> float | None:
        """When the next call ends if nothing else starts; None when there is none."""
        if self._ended:
            return self._ended[0][0]
        best = self._floor[0].due if self._floor else None
        for at, call in self._cpu_ends():
            # Calls further down the heap finish later still, so none of them can end before this.
            if best is not None and at >= best:
                break
            end = max(at, call.floor_at)
            best = end if best is None else min(best, end)
        return best

    def pop_ended(self, now: float) -> list[Hashable]:
        """The calls that have ended by `now`, by end time, then in the order of their start."""
        self._advance(now)
        ended, self._ended = sorted(self._ended, key=lambda entry: entry[:2]), []
        return [key for _, _, key in ended]

    def queued_s(self, key: Hashable) -> float:
        """Seconds that the last call started as `key` waited for a worker; 0 until it has one."""
        return self._queued_s.get(key, 0.0)

    def _has_worker(self) -> bool:
        return self.workers is None or len(self._busy) + len(self._floor) < self.workers

    def _run(self, call: _Queued, now: float) -> None:
        self._queued_s.pop(call.key, None)
        if now > call.asked_at:
            self._queued_s[call.key] = now - call.asked_at
        floor_at = now + call.floor_s
        if call.cpu_s > 0:
            due = self._service + call.cpu_s / call.cores
            heapq.heappush(self._busy, _Call(due, call.order, call.key, floor_at, call.cores))
            self._threads += call.cores
        else:
            heapq.heappush(self._floor, _Call(floor_at, call.order, call.key, floor_at, 1))

    def _rate(self, num_threads: int) -> float:
        """Cores that each of `num_threads` busy threads gets."""
        return 1.0 if num_threads <= self.cores else self.cores / num_threads

    def _cpu_ends(self) -> Iterator[tuple[float, _Call]]:
        """When each busy call will have had its CPU-seconds, soonest first.

        Walks the heap from its root, and looks at no more of it than the reader asks for.
        """
        at, service, left = self._now, self._service, self._threads
        frontier = [(self._busy[0], 0)] if self._busy else []
        while frontier:
            call, index = heapq.heappop(frontier)
            at += max(0.0, call.due - service) / self._rate(left)
            service, left = call.due, left - call.cores
            yield at, call
            for child in (2 * index + 1, 2 * index + 2):
                if child < len(self._busy):
                    heapq.heappush(frontier, (self._busy[child], child))

    def _advance(self, now: float) -> None:
        """Play everything that happens up to `now`, in order of time."""
        if now < self._now:
            raise ValueError(f"the tool host is at {self._now} s and cannot go back to {now} s")
        while self._busy or self._floor:
            cpu_at = self._next_cpu_at()
            floor_at = self._floor[0].due if self._floor else None
            if cpu_at is not None and (floor_at is None or cpu_at <= floor_at):
                if cpu_at > now:
                    break
                self._finish_cpu(cpu_at)
            else:
                if floor_at is None or floor_at > now:
                    break
                self._move_clock(floor_at)
                self._end_floors(floor_at)
        self._move_clock(now)

    def _next_cpu_at(self) -> float | None:
        return next((at for at, _ in self._cpu_ends()), None)

    def _move_clock(self, now: float) -> None:
        if self._busy:
            service = self._service + (now - self._now) * self._rate(self._threads)
            if service == self._service and now > self._now:
                # Too little time for the sum to change: without this, the last of a call's
                # seconds would never be had, and the clock would creep towards its end for ever.
                service = math.nextafter(service, math.inf)
            self._service = service
        else:
            self._service = 0.0  # from zero again, so that its float error never accumulates
        self._now = now

    def _finish_cpu(self, now: float) -> None:
        """The first busy call has had its CPU-seconds; service is set, not summed, to be exact."""
        call = heapq.heappop(self._busy)
        self._threads -= call.cores
        self._now, self._service = now, call.due
        end = max(now, call.floor_at)
        heapq.heappush(self._floor, call._replace(due=end))
        self._end_floors(now)

    def _end_floors(self, now: float) -> None:
        """End the calls whose CPU is done and whose floor has passed; their workers go on."""
        while self._floor and self._floor[0].due <= now:
            call = heapq.heappop(self._floor)
            self._ended.append((call.due, call.order, call.key))
            if self._queue and self._has_worker():
                self._run(self._queue.popleft(), now)
