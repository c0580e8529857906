"""The replica with the longest match in its cache, if little more than that is to be computed.

Source: production-stack, `kvaware` in src/vllm_router/routers/routing_logic.py @a6c01db0: taken if
matched >= prompt - threshold, else session affinity. Not modelled: the look-up through LMCache's
controller and its delay; what is in a replica's KV cache is known at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from marsbench.replicas.router import ReplicaView, RoundToPlace, Router, fewest, of_index
from marsbench.replicas.routers.session_affinity import on_ring


@dataclass
class KvAware(Router):
    """threshold_tokens: of the prompt, the most that the chosen replica may have to compute."""

    hears_kv_events: ClassVar[bool] = True
    reads_prompts: ClassVar[bool] = False
    threshold_tokens: int = 2000
    virtual_nodes: int = 160

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        best = fewest(replicas, lambda one: -(one.matched_tokens or 0))
        matched = of_index(replicas, best).matched_tokens or 0
        if matched and matched >= ask.prompt_tokens - self.threshold_tokens:
            return best
        return on_ring(ask.session, replicas, self.virtual_nodes)
