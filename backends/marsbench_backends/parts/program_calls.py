"""Autellix's program table: what each program's calls have been served and have waited.

A program is a session with all its sub-agents; a call is a round that runs or waits. Service and
waiting are read off one meter, which counts seconds or tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

CONTIGUOUS_S = 1e-9
"""Seconds between two steps that are one run of service: less than any step, more than rounding."""


@dataclass(slots=True)
class Program:
    """`served`: the priority of its next call. `total_*`: over all of its finished calls."""

    served: float = 0.0
    total_served: float = 0.0
    total_waited: float = 0.0


@dataclass(slots=True)
class ProgramCall:
    """One LLM call. `entry` is p(c), with which it came; `level` its queue.

    A run of service is kept as its two ends, not as a sum of steps: taking several steps as one
    then changes no digit.
    """

    program: Program
    entry: float
    level: int
    _used: float = 0.0
    _served: float = 0.0
    _forgiven: float = 0.0
    _waited: float = 0.0
    _began: float = 0.0
    _until: float = 0.0
    waits_since: float | None = None
    promote_at: float = math.inf
    prefilling: bool = field(default=True)

    @property
    def _run(self) -> float:
        return self._until - self._began

    @property
    def used(self) -> float:
        """Service in its present queue."""
        return self._used + self._run

    @property
    def served(self) -> float:
        """t_k: service in all queues."""
        return self._served + self._run

    @property
    def waited(self) -> float:
        """W_c."""
        return self._waited

    def wait(self, meter: float, beta: float) -> None:
        """It waits from now on; promoted once (W_p + W_c) / (T_p + T_c) >= beta."""
        self._settle()
        served = self.program.total_served + self.served - self._forgiven
        waited = self.program.total_waited + self._waited
        self.waits_since = meter
        self.promote_at = meter + max(0.0, beta * served - waited) if served > 0 else math.inf

    def begin(self, meter: float, at: float) -> None:
        """The wait is over; if it was long enough, a fresh start from the first queue."""
        if self.waits_since is not None:
            self._waited += meter - self.waits_since
        if meter >= self.promote_at:
            self.level, self._used, self._waited = 0, 0.0, 0.0
            self._forgiven = self._served
        self.waits_since, self.promote_at = None, math.inf
        self._began = self._until = at

    def serve_seconds(self, began: float, at: float) -> float:
        """The steps from `began` to `at` had it in their batch; what it has used by now."""
        if began > self._until + CONTIGUOUS_S:
            self._settle()
            self._began = began
        self._until = at
        return self._used + (at - self._began)  # `used`, without asking

    def serve_tokens(self, tokens: int) -> None:
        self._used += tokens
        self._served += tokens

    def demote(self, quantum: float) -> None:
        """Its quantum is used up."""
        self._settle()
        self._used -= quantum
        self.level += 1

    def exhausts_at(self, quantum: float, now: float) -> float:
        """The earliest time at which its quantum can be used up, a rounding error early."""
        if now > self._until + CONTIGUOUS_S:
            return now + quantum - self.used
        return max(self._began + (quantum - self._used) - CONTIGUOUS_S, now + CONTIGUOUS_S)

    def end(self) -> None:
        """It is finished: its program has had its service and its waiting."""
        self._settle()
        self.program.total_served += self._served - self._forgiven
        self.program.total_waited += self._waited

    def _settle(self) -> None:
        run = self._run
        self._used += run
        self._served += run
        self._began = self._until
