"""The hardware that a run was played on, made again from what its folder says."""

from __future__ import annotations

from pathlib import Path

import pytest

from marsbench.bounds.hardware import hardware_of
from marsbench.errors import UsageError
from marsbench.hardware.profile import load_hardware
from marsbench.runs import RunConfig

TOLD = {"model": "qwen3-coder-30b", "gpu": "h200", "precision": "bf16", "kv_dtype": "bf16"}


def config(**hardware: object) -> RunConfig:
    return RunConfig(backend="fcfs", workload="w", workload_hash="0", hardware=hardware)


def test_a_run_that_does_not_say_its_hardware_is_refused_in_a_sentence() -> None:
    with pytest.raises(UsageError, match="does not say the model and kv_dtype that it was played"):
        hardware_of(Path("run"), config(gpu="h200", precision="bf16"))


def test_the_hardware_is_the_runs_own_by_its_hash() -> None:
    own = load_hardware("qwen3-coder-30b", "h200", "bf16", kv_dtype="bf16").hash
    assert hardware_of(Path("run"), config(**TOLD, hash=own)).hash == own
    four = load_hardware("qwen3-coder-30b", "h200", "bf16", kv_dtype="bf16", tp=4).hash
    told = config(**TOLD, tensor_parallel=4, hash=four)
    assert hardware_of(Path("run"), told).hash == four
    for other in ({}, {"hash": "of another"}):
        with pytest.raises(UsageError, match="give the profile with --hardware FILE"):
            hardware_of(Path("run"), config(**TOLD, **other))
