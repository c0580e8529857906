"""The replica with the fewest rounds under way, or the fewest of their prompts' tokens.

Source: every router has it; the counts are the router's own. Not modelled: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from marsbench.replicas.router import ReplicaView, RoundToPlace, Router, fewest


@dataclass
class LeastLoad(Router):
    """by_tokens: count prompt tokens in place of rounds."""

    reads_prompts: ClassVar[bool] = False
    by_tokens: bool = False

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        return fewest(replicas, lambda one: one.tokens if self.by_tokens else one.under_way)
