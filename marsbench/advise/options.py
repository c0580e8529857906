"""What is asked of an advice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from marsbench.engine_options import EngineOptions, HardwareOptions
from marsbench.option import ENGINE, WORKLOAD, Option, like

BACKENDS = "fcfs-cap,infercept,continuum,mars"
"""Those that win somewhere on the map (reports/map.md), beside vLLM as it is."""

Pattern = Literal["recorded", "poisson"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviseOptions:
    """The options of `marsbench advise`.

    users: to be served; None is as many as were recorded. gpus: that share them, groups of `tp`
        where that is more than one; None is as many as their GPU seconds need.
    idle: seconds of a pause that ends a session. sessions: that arrive in each run.
    jobs: processes; None is one a core, 1 is this one.
    """

    users: Annotated[int | None, Option("N", "Users to serve (as recorded)", least=1)] = None
    gpus: Annotated[
        int | None, Option("G", "GPUs that share them (what their GPU time needs)", least=1)
    ] = None
    backends: Annotated[str, Option("A,B,…", f"Beside fcfs ({BACKENDS})")] = BACKENDS
    alpha: Annotated[float, Option("A", "Times as long as alone (3)")] = 3.0
    sessions: Annotated[int, Option("N", "That arrive in each run (40)", least=1)] = 40
    seeds: Annotated[int, Option("N", "Seeds 1 to N (6)", least=1)] = 6
    jobs: Annotated[int | None, Option("N", "Processes (one a core)", least=1)] = None
    output: Annotated[
        str | Path | None,
        Option("DIR", "Its folder (results/advise_…)", names=("-o", "--output"), typed=Path),
    ] = None
    recorded_users: Annotated[
        int, Option("M", "Users in the recordings (1)", WORKLOAD, least=1)
    ] = 1
    arrivals: Annotated[
        Pattern, Option("KIND", "recorded (by time of day) or poisson (recorded)", WORKLOAD)
    ] = "recorded"
    idle: Annotated[float, Option("S", "A pause that ends a session (1800)", WORKLOAD)] = 1800.0
    tokenizer: Annotated[
        str | None, Option("NAME|PATH", "Counts tokens that nobody recorded", WORKLOAD)
    ] = None
    tool_time: Annotated[
        float | None, Option("S", "Of a tool call that nobody timed", WORKLOAD)
    ] = None
    gpu: Annotated[str, like(HardwareOptions, "gpu")] = "h200"
    model: Annotated[str | None, like(HardwareOptions, "model")] = None
    tp: Annotated[int | None, like(HardwareOptions, "tp")] = None
    precision: Annotated[str | None, like(HardwareOptions, "precision")] = None
    kv_dtype: Annotated[str | None, like(HardwareOptions, "kv_dtype")] = None
    hardware: Annotated[
        str | Path | None, Option("FILE", "A hardware profile (TOML)", ENGINE, typed=Path)
    ] = None
    engine_profile: Annotated[str, like(EngineOptions, "engine_profile")] = "default"
    tool_cores: Annotated[int, like(EngineOptions, "tool_cores")] = 8
