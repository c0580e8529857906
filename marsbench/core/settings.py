"""What an engine is set to: the knobs that are the same for every backend in a comparison."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from marsbench.errors import UsageError
from marsbench.hardware.profile import Hardware
from marsbench.offload.host_kv import HostKv

MOST_BLOCKS = 10_000_000  # each is an object of vLLM's in this process: 1.3 GB at this number


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """vLLM's own settings. The defaults are those of `vllm serve` 0.33.0 on one large GPU.

    max_num_batched_tokens: the step budget, tokens that one step may compute.
    max_num_seqs: requests that may run at once.
    block_size: tokens a KV block.
    reserve_full_prompt: a whole prompt must fit before it is admitted (vLLM's
        `scheduler_reserve_full_isl`).
    memory_fraction: share of GPU memory that the server may use.
    kv_blocks: KV blocks instead of what the hardware's memory holds.
    host_kv: vLLM's own offloading to host memory; None where it is off.
    """

    max_num_batched_tokens: int = 8192
    max_num_seqs: int = 256
    block_size: int = 16
    reserve_full_prompt: bool = True
    memory_fraction: float = 0.9
    kv_blocks: int | None = None
    host_kv: HostKv | None = None

    def __post_init__(self) -> None:
        for option, value in (
            ("--step-budget", self.max_num_batched_tokens),
            ("--max-seqs", self.max_num_seqs),
            ("--block-size", self.block_size),
            ("--kv-blocks", self.kv_blocks),
        ):
            if value is not None and value < 1:
                raise UsageError(f"{option} must be at least 1, not {value}.")
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise UsageError(
                f"The step budget ({self.max_num_batched_tokens} tokens) must hold a token of each "
                f"running request ({self.max_num_seqs}); raise --step-budget or lower --max-seqs."
            )
        if self.kv_blocks is not None and self.kv_blocks > MOST_BLOCKS:
            raise UsageError(
                f"--kv-blocks must be at most {MOST_BLOCKS:,}, not {self.kv_blocks:,}."
            )
        if not 0 < self.memory_fraction <= 1:
            raise UsageError(
                f"--memory-fraction must be above 0 and at most 1, not {self.memory_fraction}."
            )

    def num_blocks(self, hardware: Hardware) -> int:
        """KV blocks: as set, or as many as the hardware's memory holds."""
        return self.kv_blocks or hardware.kv_blocks(self.block_size, self.memory_fraction)

    def facts(self) -> dict[str, Any]:
        """All of them as JSON; offloading that is off is not mentioned."""
        facts = asdict(self)
        if self.host_kv is None:
            del facts["host_kv"]
        return facts

    @property
    def without_host_kv(self) -> EngineSettings:
        """The same engine with its GPU's memory alone: sessions are timed alone on it."""
        return self if self.host_kv is None else replace(self, host_kv=None)
