"""From the options of `marsbench run`, typed or given in Python, to a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from marsbench.core.backends import choose
from marsbench.core.hardware.profile import load_hardware
from marsbench.core.request import OwnOptions, RunRequest
from marsbench.core.settings import engine_settings
from marsbench.core.workload.make import Knobs
from marsbench.errors import UsageError
from marsbench.wall.agents.options import openhands_options
from marsbench.wall.live.options import live_options


def request_of(given: dict[str, Any]) -> RunRequest:
    """The options of `run` as one value. Raises UsageError for what cannot be.

    given: by the parameters of `marsbench.cli.main.run`, all of them.
    """
    knobs = [field.name for field in fields(Knobs)]
    reserve = given["reserve_full_prompt"]
    hardware = load_hardware(
        given["model"],
        given["gpu"],
        given["precision"],
        kv_dtype=given["kv_dtype"],
        profile=given["hardware"],
    )
    step, attention = (_scale(given, part) for part in ("step", "attention"))
    return RunRequest(
        choice=choose(given["backend"], given["set_"] or ()),
        engine=given["engine"],
        own=_own(given),
        workload=given["workload"],
        knobs=Knobs(**{name: given[name] for name in knobs}),
        hardware=hardware.with_scale(step=step, attention=attention),
        settings=engine_settings(
            given["engine_profile"],
            max_num_batched_tokens=given["step_budget"],
            max_num_seqs=given["max_seqs"],
            reserve_full_prompt=None if reserve is None else reserve == "on",
            memory_fraction=given["memory_fraction"],
            kv_blocks=given["kv_blocks"],
            block_size=given["block_size"],
        ),
        alphas=tuple(given["alpha"] or (3.0,)),
        tool_cores=given["tool_cores"],
        tool_workers=given["tool_workers"],
        check=given["check"],
        output=given["output"],
    )


def _own(given: dict[str, Any]) -> OwnOptions | None:
    """What the engine alone is told; each says of what is not for it."""
    live, agents = live_options(given), openhands_options(given)
    return live or agents


def _scale(given: Mapping[str, Any], part: str) -> float:
    """Of a step's time, or of a part of it. Raises UsageError unless it is above 0."""
    scale: float = given[f"{part}_time_scale"]
    if not 0 < scale < float("inf"):
        raise UsageError(f"--{part}-time-scale must be above 0, not {scale:g}; for example 1.2.")
    return scale
