"""Static caps on the sessions in flight, by what CPU and KV allow (MARS as released)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from marsbench_backends.admission import EngineState


def cpu_ratio(state: EngineState) -> float:
    """Tool calls that burn CPU per worker."""
    return state.num_cpu_calls / state.tool_cores


def kv_usage(state: EngineState) -> float:
    """Share of KV in use; 0 where it is not measured, as in the code."""
    if not state.num_blocks or state.free_blocks is None:
        return 0.0
    return 1.0 - state.free_blocks / state.num_blocks


@dataclass(frozen=True, slots=True)
class StaticCaps:
    """Between `low` and `high` sessions, by the marks of both signals."""

    low: int
    high: int
    cpu_low: float
    cpu_high: float
    kv_low: float
    kv_high: float

    def cap(self, state: EngineState) -> int:
        """The lower of both."""
        return min(self.cpu(state), self.kv(state))

    def cpu(self, state: EngineState) -> int:
        """Sessions that the tool workers allow: the middle of the band."""
        cap = math.ceil(state.tool_cores * (self.cpu_low + self.cpu_high) / 2)
        return min(self.high, max(self.low, cap))

    def kv(self, state: EngineState) -> int:
        """Sessions that KV allows: all of them up to kv_low, the minimum from kv_high on."""
        share = (kv_usage(state) - self.kv_low) / (self.kv_high - self.kv_low)
        span = self.high - self.low
        return self.high - math.floor(span * min(1.0, max(0.0, share)))
