"""The next replica in the list, whatever the round.

Source: every router has it. Not modelled: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from marsbench.replicas.router import ReplicaView, RoundToPlace, Router


@dataclass
class RoundRobin(Router):
    """Counts the rounds that it has sent."""

    reads_prompts: ClassVar[bool] = False
    _sent: int = field(default=0, init=False)

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        return replicas[self._sent % len(replicas)].index

    def placed(self, ask: RoundToPlace, replica: int) -> None:
        self._sent += 1
