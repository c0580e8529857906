"""Whether CPU and KV are congested: from a high mark on, until a low one is reached (MARS)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from marsbench_backends.admission import EngineState
from marsbench_backends.parts.ewma import Ewma
from marsbench_backends.signals import Signal, ToolEnded


def cpu_ratio(state: EngineState) -> float:
    """Tool calls that burn CPU per worker."""
    return state.num_cpu_calls / state.tool_cores


def kv_usage(state: EngineState) -> float | None:
    """Share of KV in use; None where it is not measured."""
    if not state.num_blocks or state.free_blocks is None:
        return None
    return 1.0 - state.free_blocks / state.num_blocks


@dataclass(slots=True)
class Congestion:
    """Marks and what was last seen.

    cpu_*: tool calls that burn CPU per worker. wait_*: smoothed seconds that tool calls wait for a
    worker. kv_*: share of KV in use.
    """

    cpu_low: float
    cpu_high: float
    wait_low_s: float
    wait_high_s: float
    kv_low: float
    kv_high: float
    queue_wait_s: Ewma
    cpu_over: bool = field(default=False, init=False)
    kv_over: bool = field(default=False, init=False)

    @property
    def any(self) -> bool:
        return self.cpu_over or self.kv_over

    @property
    def order(self) -> str:
        """The order of admission that it calls for."""
        if self.kv_over:
            return "packing"
        return "gpu_heavy_first" if self.cpu_over else "small_first"

    def observe(self, signal: Signal) -> None:
        """Learn how long tool calls wait; one that never asked for a worker says nothing of it."""
        if isinstance(signal, ToolEnded) and signal.queued_s is not None:
            self.queue_wait_s.add(signal.queued_s)

    def is_calm(self, cpu: float, kv: float) -> bool:
        """Whether nothing is congested, and no signal between its marks either."""
        return not self.any and self._cpu_is_calm(cpu) and kv <= self.kv_low

    def _cpu_is_calm(self, cpu: float) -> bool:
        return cpu <= self.cpu_low and (self.queue_wait_s.value or 0.0) <= self.wait_low_s

    def sense(self, cpu: float, kv: float) -> None:
        """A control interval has passed in which the signals stood so."""
        if cpu >= self.cpu_high or (self.queue_wait_s.value or 0.0) >= self.wait_high_s:
            self.cpu_over = True
        elif self._cpu_is_calm(cpu):
            self.cpu_over = False
        self.kv_over = kv > self.kv_low if self.kv_over else kv >= self.kv_high

    def cpu_cap(self, state: EngineState, low: int, high: int) -> int:
        """Sessions, of `low` to `high`, that the tool workers allow: the middle of the band."""
        cap = math.ceil(state.tool_cores * (self.cpu_low + self.cpu_high) / 2)
        return min(high, max(low, cap))

    def kv_cap(self, state: EngineState, low: int, high: int) -> int:
        """Sessions that KV allows: `high` up to kv_low, `low` from kv_high on."""
        share = ((kv_usage(state) or 0.0) - self.kv_low) / (self.kv_high - self.kv_low)
        return high - math.floor((high - low) * min(1.0, max(0.0, share)))
