"""The least loaded engine, and away from a queue before a full cache: vLLM's own data parallelism.

Source: vLLM 0.33.0, `--data-parallel-size` with its own balancing (v1/engine/core_client.py,
DPLBAsyncMPClient): the greater of rounds in flight and waiting + running, and where rounds wait
waiting x 6 x the KV usage above a half; the first of equals, and the look begins one engine further
each time. Reports are 0.1 s old at most (v1/engine/coordinator.py). It never looks at a prompt.
Not modelled: several API servers, each of which knows its own rounds only; engines of a model with
experts, which step together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from marsbench.replicas.router import ReplicaView, RoundToPlace, Router


@dataclass
class VllmDp(Router):
    """queue_weight: of a waiting round, times the KV usage above `full_above`."""

    reads_prompts: ClassVar[bool] = False
    snapshot_age_s: float = 0.1
    queue_weight: float = 6.0
    full_above: float = 0.5
    _num: int = field(default=0, init=False, repr=False)

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        first = self._num % len(replicas)
        return min((*replicas[first:], *replicas[:first]), key=self._score).index

    def placed(self, ask: RoundToPlace, replica: int) -> None:
        self._num += 1

    def _score(self, one: ReplicaView) -> float:
        waiting = one.waiting + one.placed_since
        load = max(one.under_way, waiting + one.running)
        return load + waiting * self.queue_weight * max(0.0, one.kv_usage - self.full_above)
