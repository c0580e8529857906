"""What an engine is set to: the knobs that are the same for every backend in a comparison."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """vLLM's own settings. The defaults are those of `vllm serve` 0.33.0 on one large GPU.

    max_num_batched_tokens: the step budget, tokens that one step may compute.
    max_num_seqs: requests that may run at once.
    reserve_full_prompt: a whole prompt must fit before it is admitted (vLLM's
        `scheduler_reserve_full_isl`).
    kv_blocks: KV blocks instead of what the hardware's memory holds.
    """

    max_num_batched_tokens: int = 8192
    max_num_seqs: int = 256
    block_size: int = 16
    reserve_full_prompt: bool = True
    memory_fraction: float = 0.9
    kv_blocks: int | None = None
