"""The least cost: blocks to prefill, less what the cache has, and blocks under way.

Source: ai-dynamo 1.6.1, selector/default.rs and config.rs: weight x max(0, prefill blocks - credit)
+ decode blocks, temperature 0 (the least cost; the first of equals). Prefill blocks are those of
rounds without a first token and this prompt's; decode blocks those of all rounds under way and this
prompt's, both by the router's own books. Not modelled: temperatures above 0, hits in host memory
(x 0.75) and on disk (x 0.25), blocks that two rounds share (counted twice here), outputs that grow,
entries that are forgotten after 120 s without events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from marsbench.replicas.router import ReplicaView, RoundToPlace, Router, fewest


@dataclass
class Dynamo(Router):
    """overlap_weight: of a block to prefill against one under way."""

    hears_kv_events: ClassVar[bool] = True
    reads_prompts: ClassVar[bool] = False
    overlap_weight: float = 1.0

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        return fewest(replicas, lambda one: self._cost(ask, one))

    def _cost(self, ask: RoundToPlace, one: ReplicaView) -> float:
        prefill = max(0, one.prefill_tokens + ask.prompt_tokens - (one.matched_tokens or 0))
        decode = one.tokens + ask.prompt_tokens
        return (self.overlap_weight * prefill + decode) / ask.block_size
