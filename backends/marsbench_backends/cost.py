"""What a policy may know of the engine's speed: seconds to compute and to move KV."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class EngineCost(Protocol):
    """Estimates in seconds; the simulator hands in its own step-time model."""

    def prefill_s(self, num_tokens: int, prefix_tokens: int) -> float:
        """To compute `num_tokens` prompt tokens on a prefix, alone."""
        ...

    def swap_s(self, num_tokens: int) -> float:
        """To move the KV of `num_tokens` tokens one way between GPU and host memory."""
        ...


@dataclass(frozen=True, slots=True)
class QuadraticCost:
    """Prefill time as Continuum and InferCept profile it: linear in tokens, and in token x prefix.

    The defaults are fitted to Qwen3-Coder-30B-A3B in bf16 on an H200 (138 ms for 8,192 tokens, and
    1,471 ms on a prefix of 131,072: aiconfigurator-core 0.12.0) with 98,304 B of KV a token over a
    55 GB/s link. A server is told its own through `--additional-config`.
    """

    token_s: float = 1.68e-5
    token_prefix_s: float = 1.24e-9
    swap_token_s: float = 1.79e-6

    def prefill_s(self, num_tokens: int, prefix_tokens: int) -> float:
        pairs = num_tokens * (prefix_tokens + num_tokens / 2)
        return self.token_s * num_tokens + self.token_prefix_s * pairs

    def swap_s(self, num_tokens: int) -> float:
        return self.swap_token_s * num_tokens


def engine_cost(config: Mapping[str, Any], step_budget: int) -> EngineCost:
    """What `config["cost"]` says: parameters of QuadraticCost, or a function of both arguments.

    A function is named by `module:name`: an emulated server has its own step-time model.
    """
    cost = config.get("cost", {})
    if isinstance(cost, str):
        module, _, name = cost.partition(":")
        made: EngineCost = getattr(importlib.import_module(module), name)(config, step_budget)
        return made
    return QuadraticCost(**cost)
