"""vLLM as it is: first come, first served, the last admitted is preempted first.

Source: vLLM 0.33.0, v1/core/sched/scheduler.py. Not strictly FCFS: a running request that cannot
be scheduled in a step is passed over, so a later one may run before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from marsbench_backends.policy import Policy


@dataclass
class FCFS(Policy):
    """Every default of `Policy`."""
