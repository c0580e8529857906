"""When the steps of a macro step end."""

from __future__ import annotations

from collections.abc import Sequence

from marsbench.hardware.steptime import Prefill, StepTime

MOST_STEPS = 4096  # bounds the memory of one macro step's durations
SOON = 0.9
"""What is due within this share of the last step's duration leaves hardly anything to merge."""

Batch = tuple[int, int, Sequence[Prefill]]
"""Decodes, the KV tokens of all of them, and the prefills of one step."""


def ends_of(step_time: StepTime, batch: Batch, steps: int, now: float, limit: float) -> list[float]:
    """The ends of at most `steps` steps alike, no more of them than begin before `limit`."""
    most = most_steps(step_time, batch, steps, now, limit)
    ends = []
    for seconds in step_time.run_seconds(*batch, most):
        now += seconds
        ends.append(now)
        if now >= limit:
            break
    return ends


def most_steps(step_time: StepTime, batch: Batch, steps: int, now: float, limit: float) -> int:
    """At least as many as begin before `limit`: steps only grow longer as their contexts grow."""
    return min(steps, int(min((limit - now) / step_time.seconds(*batch), 1e9)) + 2)
