"""The exponentially weighted mean that MARS smooths its signals with."""

from __future__ import annotations

from dataclasses import dataclass

from marsbench_backends.exact import power


@dataclass(slots=True)
class Ewma:
    """e = (1 - a) e + a x; the first sample initialises it (MARS, tool_pool.py: a = 0.2)."""

    weight: float = 0.2
    value: float | None = None

    def add(self, sample: float, times: int = 1) -> None:
        """Take in a sample, as if it had come `times` times in a row."""
        if self.value is None:
            self.value = sample
            return
        kept = power(1.0 - self.weight, times)
        self.value = kept * self.value + (1.0 - kept) * sample
