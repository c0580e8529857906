"""What a round takes alone, by the step times of the run's own hardware."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import fsum

from marsbench.hardware.steptime import StepTime


@dataclass(frozen=True, slots=True)
class Alone:
    """Seconds on an engine with nothing else in its steps, as `core/sim/solo.py` plays it.

    budget: tokens that a step may compute. The same answers are asked for under every backend that
    played them, so what they take is kept.
    """

    step_time: StepTime
    budget: int
    _answers: dict[tuple[int, int], float] = field(default_factory=dict, compare=False, repr=False)

    def prefill_s(self, prompt: int, found: int) -> float:
        """To the first token, on so many tokens that were found computed; 0 for nothing to do."""
        new = prompt - found
        if new <= 0:
            return 0.0
        # A last chunk of one token, which is sampled from, is a decode to the engine.
        last = 1 if new % self.budget == 1 else 0
        rest = self.step_time.prefill_s(new - last, found, self.budget)
        return rest + (self.step_time.seconds(1, prompt) if last else 0.0)

    def decode_s(self, prompt: int, output: int) -> float:
        """From the first token to the last."""
        known = self._answers.get((prompt, output))
        if known is None:
            steps = self.step_time.run_seconds(1, prompt + 1, (), max(0, output - 1))
            known = self._answers[prompt, output] = fsum(steps)
        return known
