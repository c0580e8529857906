"""What an engine is set to: the knobs that are the same for every backend in a comparison."""

from __future__ import annotations

from dataclasses import dataclass, replace

from marsbench.errors import UsageError, unknown_name

OPTIONS = {
    "max_num_batched_tokens": "--step-budget",
    "max_num_seqs": "--max-seqs",
    "block_size": "--block-size",
    "kv_blocks": "--kv-blocks",
}
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
    """

    max_num_batched_tokens: int = 8192
    max_num_seqs: int = 256
    block_size: int = 16
    reserve_full_prompt: bool = True
    memory_fraction: float = 0.9
    kv_blocks: int | None = None

    def __post_init__(self) -> None:
        for name, option in OPTIONS.items():
            value = getattr(self, name)
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


# The authors' replay ran a fork of vLLM 0.10.2 with a step budget of 2,048 and 128 sequences
# (MARS_preview, experiments/scripts/run_baseline_continuum.sh); that version reserved no room
# for a whole prompt.
PROFILES = {
    "default": EngineSettings(),
    "paper": EngineSettings(
        max_num_batched_tokens=2048, max_num_seqs=128, reserve_full_prompt=False
    ),
}


def engine_settings(profile: str, **knobs: int | float | bool | None) -> EngineSettings:
    """A profile with the knobs that were given (not None) turned."""
    if profile not in PROFILES:
        raise unknown_name("engine profile", profile, PROFILES)
    given = {name: value for name, value in knobs.items() if value is not None}
    return replace(PROFILES[profile], **given)  # type: ignore[arg-type]
