"""The options of the modelled hardware, of an engine's settings, and of a simulation.

They stand above `marsbench.core`, which they are turned into: a line of help moves no number, and
the files of core are the key of every cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from marsbench.core.settings import EngineSettings
from marsbench.errors import unknown_name
from marsbench.offload.host_kv import host_kv
from marsbench.option import ADVANCED, ENGINE, Option

T = TypeVar("T")

# The authors' replay ran a fork of vLLM 0.10.2 with a step budget of 2,048 and 128 sequences
# (MARS_preview, experiments/scripts/run_baseline_continuum.sh); that version reserved no room
# for a whole prompt.
PROFILES = {
    "default": EngineSettings(),
    "paper": EngineSettings(
        max_num_batched_tokens=2048, max_num_seqs=128, reserve_full_prompt=False
    ),
}


@dataclass(frozen=True, kw_only=True)
class HardwareOptions:
    """What `marsbench.hardware.profile.load_hardware` takes.

    hardware: the file of a profile, in place of the names.
    """

    gpu: Annotated[str, Option("GPU", "h200, …, or an id (h200)", ENGINE)] = "h200"
    model: Annotated[
        str | None, Option("MODEL", "A name, or a config.json (qwen3-coder-30b)", ENGINE)
    ] = None
    tp: Annotated[int | None, Option("N", "GPUs that share it: 1, 2, 4, 8 (1)", ENGINE)] = None
    precision: Annotated[str | None, Option("P", "Of the weights: bf16, fp8, mxfp4", ENGINE)] = None
    kv_dtype: Annotated[str | None, Option("D", "auto, bf16, fp8 (auto)", ENGINE)] = None
    hardware: Annotated[
        str | Path | None, Option("FILE", "A hardware profile (TOML)", ADVANCED, typed=Path)
    ] = None


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """A profile with the knobs that were turned (not None), and the host that runs the tools."""

    kv_blocks: Annotated[
        int | None, Option("N", "KV blocks (what the GPU's memory holds)", ENGINE)
    ] = None
    block_size: Annotated[int | None, Option("N", "Tokens a block (16)", ENGINE)] = None
    tool_cores: Annotated[int, Option("N", "Cores of the host that runs tools (8)", ENGINE)] = 8
    engine_profile: Annotated[
        str, Option("NAME", "default, or paper: 2,048 tokens x 128", ENGINE)
    ] = "default"
    step_budget: Annotated[int | None, Option("N", "Tokens a step", ADVANCED)] = None
    max_seqs: Annotated[int | None, Option("N", "Running requests", ADVANCED)] = None
    reserve_full_prompt: Annotated[
        Literal["on", "off"] | None,
        Option("on|off", "Admit only prompts that fit whole", ADVANCED),
    ] = None
    memory_fraction: Annotated[float | None, Option("F", "Share of GPU memory (0.9)", ADVANCED)] = (
        None
    )
    tool_workers: Annotated[
        int | None, Option("N", "Tool calls at once, others queue", ADVANCED)
    ] = None

    host_kv: Annotated[
        str | None, Option("GIB|off", "KV in host memory, by vLLM itself (off)", ENGINE)
    ] = None
    host_kv_store: Annotated[
        str | None, Option("WHEN", "eager, lazy, threshold:N (eager)", ADVANCED)
    ] = None
    host_kv_eviction: Annotated[
        str | None, Option("NAME", "lru, arc, or a class's path (lru)", ADVANCED)
    ] = None
    host_kv_cost: Annotated[
        float | None, Option("X", "GPU memory traffic a byte copied (1)", ADVANCED)
    ] = None

    @property
    def settings(self) -> EngineSettings:
        """Raises UsageError for a profile that there is none of, and for what cannot be."""
        if self.engine_profile not in PROFILES:
            raise unknown_name("engine profile", self.engine_profile, PROFILES)
        own, reserve = PROFILES[self.engine_profile], self.reserve_full_prompt
        return EngineSettings(
            max_num_batched_tokens=_turned(self.step_budget, own.max_num_batched_tokens),
            max_num_seqs=_turned(self.max_seqs, own.max_num_seqs),
            block_size=_turned(self.block_size, own.block_size),
            reserve_full_prompt=own.reserve_full_prompt if reserve is None else reserve == "on",
            memory_fraction=_turned(self.memory_fraction, own.memory_fraction),
            kv_blocks=self.kv_blocks,
            host_kv=host_kv(
                self.host_kv, self.host_kv_eviction, self.host_kv_store, self.host_kv_cost
            ),
        )


def _turned(knob: T | None, own: T) -> T:
    return own if knob is None else knob


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """What is done to a simulation, and shows in its numbers or stops it."""

    step_time_scale: Annotated[float, Option("X", "Scale every step time (1)", ADVANCED)] = 1.0
    attention_time_scale: Annotated[
        float, Option("X", "Scale attention's time alone (1)", ADVANCED)
    ] = 1.0
    vllm: Annotated[
        str | None, Option("VLLM", "A version, PATH or PATH@REV (installed)", ENGINE)
    ] = None
    scheduler_cls: Annotated[
        str | None, Option("CLASS", "vllm, or module:Class, and no backend", ADVANCED)
    ] = None
    check: Annotated[bool, Option(None, "Test invariants at every step", ADVANCED)] = False
