"""What is asked of a search for capacity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from marsbench.core.workload.knobs import Knobs
from marsbench.engine_options import EngineOptions, HardwareOptions, SimulationOptions
from marsbench.option import Assignments, BackendName, Option, Output, WorkloadName, like
from marsbench.replicas.options import ReplicaOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityOptions:
    """The options of `marsbench capacity`: its own, and those of a run that it passes on.

    share: of the sessions that are to end within alpha times their time alone. tolerance: of the
    rate. gpus: whether GPUs are searched for, in place of a rate, each played alone. replicas: so
    many behind a router, or between which two numbers the fewest are searched. jobs: processes.
    """

    backend: BackendName
    workload: WorkloadName = "ilr-1"
    alpha: Annotated[float, Option("A", "Times as long as alone (3)")] = 3.0
    share: Annotated[float, Option("S", "Of the sessions (0.9)")] = 0.9
    seeds: Annotated[int, Option("N", "Seeds 1 to N (3)", least=1)] = 3
    tolerance: Annotated[float, Option("T", "Of the rate (0.05)")] = 0.05
    gpus: Annotated[bool, Option(None, "How many for --arrivals closed:N agents")] = False
    sessions: Annotated[int | None, like(Knobs, "sessions")] = None
    arrivals: Annotated[str | None, like(Knobs, "arrivals")] = None
    tools: Annotated[str | None, like(Knobs, "tools")] = None
    prefixes: Annotated[int | None, like(Knobs, "prefixes")] = None
    set: Assignments = ()
    gpu: Annotated[str, like(HardwareOptions, "gpu")] = "h200"
    model: Annotated[str | None, like(HardwareOptions, "model")] = None
    tp: Annotated[int | None, like(HardwareOptions, "tp")] = None
    precision: Annotated[str | None, like(HardwareOptions, "precision")] = None
    kv_dtype: Annotated[str | None, like(HardwareOptions, "kv_dtype")] = None
    hardware: Annotated[str | Path | None, like(HardwareOptions, "hardware")] = None
    engine_profile: Annotated[str, like(EngineOptions, "engine_profile")] = "default"
    block_size: Annotated[int | None, like(EngineOptions, "block_size")] = None
    kv_blocks: Annotated[int | None, like(EngineOptions, "kv_blocks")] = None
    step_budget: Annotated[int | None, like(EngineOptions, "step_budget")] = None
    max_seqs: Annotated[int | None, like(EngineOptions, "max_seqs")] = None
    memory_fraction: Annotated[float | None, like(EngineOptions, "memory_fraction")] = None
    tool_cores: Annotated[int, like(EngineOptions, "tool_cores")] = 8
    vllm: Annotated[str | None, like(SimulationOptions, "vllm")] = None
    replicas: Annotated[str, Option("N|A..B", "Engines; A..B: the fewest for closed:N (1)")] = "1"
    router: Annotated[str | None, like(ReplicaOptions, "router")] = None
    jobs: Annotated[int, Option("N", "Processes (1: this one, all seeds in turn)", least=1)] = 1
    output: Output = None
