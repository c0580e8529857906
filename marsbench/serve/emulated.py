"""The emulated GPU: which hardware it takes the step times of, and how fast its seconds pass.

The command that starts a server and the processes of that server both read it here; between them
travels `additional_config["marsbench"]`, which is JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marsbench.errors import UsageError
from marsbench.hardware.profile import Hardware, HardwareCost, load_hardware


def emulated_hardware(name: str, tp: int | None = None) -> Hardware:
    """The hardware of an id, `GPU[xTP]:MODEL[:PRECISION[:kv-DTYPE]]`, or a profile's file (TOML).

    tp: GPUs that share the model, where the name does not say.

    Raises UsageError for anything else.
    """
    if name.endswith(".toml"):
        return load_hardware(profile=Path(name), tp=tp)
    if ":" not in name:
        raise UsageError(
            f"--emulate takes GPU:MODEL[:PRECISION[:kv-DTYPE]] or a profile's file, not '{name}'; "
            "for example --emulate h200:qwen3-coder-30b."
        )
    return load_hardware(gpu=name, tp=tp)


def check_speed(speed: float) -> float:
    """The speed itself. Raises UsageError unless it is a positive number."""
    if not (math.isfinite(speed) and speed > 0):
        raise UsageError(f"--speed must be above 0, not {speed:g}; 10 is ten times as fast.")
    return speed


def engine_cost(config: Mapping[str, Any], step_budget: int) -> HardwareCost:
    """What policies in the server may know of its speed; the scheduler calls this."""
    return HardwareCost(emulated_hardware(config["emulate"], config.get("tp")), step_budget)
