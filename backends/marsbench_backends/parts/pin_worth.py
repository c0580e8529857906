"""What a pin of a paused session's KV gains, and what the memory that it takes costs (MARS).

Both are in seconds, so that they can be compared. The formulas are ours, since the paper gives
none: docs/policies/mars.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from marsbench_backends.parts.ewma import Ewma
from marsbench_backends.parts.tooltimes import Exponential, PauseDistribution, ToolPauses
from marsbench_backends.policy import Paused, View
from marsbench_backends.signals import RoundStarted, Signal, ToolEnded


@dataclass(slots=True)
class PinWorth:
    """Learns how long tools pause and how long rounds wait that have lost their KV.

    kv_low, kv_high: share of KV in use at which held memory begins to cost, and costs in full.
    rent_max: weight of the rent there. hold_max_s: the longest pin.
    enough, cold_s: pauses of a tool before they are believed; the mean before any is known.
    """

    kv_low: float
    kv_high: float
    rent_max: float
    hold_max_s: float
    enough: int
    cold_s: float
    ewma_weight: float
    _pauses: ToolPauses = field(init=False)
    _tool_s: dict[str, Ewma] = field(default_factory=dict, init=False)
    _cold_wait_s: Ewma = field(init=False)

    def __post_init__(self) -> None:
        self._pauses = ToolPauses(enough=self.enough)
        self._cold_wait_s = Ewma(self.ewma_weight)

    def observe(self, signal: Signal) -> None:
        self._pauses.observe(signal)
        match signal:
            case RoundStarted(was_evicted=True, resumed=False):
                self._cold_wait_s.add(signal.waited_s)
            case ToolEnded():
                self._tool_s.setdefault(signal.name, Ewma(self.ewma_weight)).add(signal.seconds)

    def gain_s(self, paused: Paused, view: View) -> float:
        """Seconds that a warm resumption saves, times the odds that it comes in time."""
        saved = view.prefill_s(paused.num_tokens) + (self._cold_wait_s.value or 0.0)
        if paused.returned or not paused.tools:
            return saved
        elapsed = view.now - paused.paused_at
        within = self.hold_max_s - elapsed
        if within <= 0:
            return 0.0
        return saved * self._pause(paused).returns_within(within, elapsed)

    def rent_s(self, paused: Paused, view: View) -> float:
        """Seconds of the engine that the held share of memory costs those who wait for it."""
        usage = 1.0 - view.free_blocks / view.num_blocks
        scarcity = min(1.0, (usage - self.kv_low) / (self.kv_high - self.kv_low))
        if scarcity <= 0 or paused.returned or not paused.tools:
            return 0.0
        elapsed = view.now - paused.paused_at
        left = min(self._pause(paused).mean_left_s(elapsed), self.hold_max_s - elapsed)
        wanted = sum(req.num_tokens for req in view.waiting) / view.block_size
        taken = min(paused.num_blocks, wanted) / view.num_blocks
        return self.rent_max * scarcity * taken * left

    def _pause(self, paused: Paused) -> PauseDistribution:
        seen = self._pauses.seen(paused.tools)
        if seen is not None:
            return seen
        means = [self._tool_s[t].value or 0.0 for t in paused.tools if t in self._tool_s]
        return Exponential(max([*means, 1e-3]) if means else self.cold_s)
