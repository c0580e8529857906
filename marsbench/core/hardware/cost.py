"""The modelled hardware's speed, as policies may know it."""

from __future__ import annotations

from dataclasses import dataclass

from marsbench.core.hardware.profile import Hardware


@dataclass(frozen=True, slots=True)
class HardwareCost:
    """Estimates in seconds of a hardware whose steps hold `budget` tokens."""

    hardware: Hardware
    budget: int

    def prefill_s(self, num_tokens: int, prefix_tokens: int) -> float:
        return self.hardware.step_time.prefill_s(num_tokens, prefix_tokens, self.budget)

    def swap_s(self, num_tokens: int) -> float:
        return self.hardware.swap_s(num_tokens)
