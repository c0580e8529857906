"""What a server is told on the command line, beside its model and vLLM's own flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from marsbench.engine_options import EngineOptions, SimulationOptions
from marsbench.option import Assignments, BackendName, Option, like


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """The options of `marsbench serve`; `marsbench.serve.plan.ServeRequest` says what each is.

    timeout: seconds in which a server that is starting does nothing, after which it is given up.
    """

    backend: BackendName
    set: Assignments = ()
    emulate: Annotated[
        str | None,
        Option(
            "GPU:MODEL", "An emulated GPU instead, as h200:qwen3-coder-30b.", shows_default=True
        ),
    ] = None
    tp: Annotated[
        int | None,
        Option("N", "GPUs that share the model: vLLM's --tensor-parallel-size, or emulated ones."),
    ] = None
    speed: Annotated[float, Option("X", "Emulated seconds a second.", shows_default=True)] = 1.0
    vllm: Annotated[str | None, like(SimulationOptions, "vllm")] = None
    kv_blocks: Annotated[int | None, like(EngineOptions, "kv_blocks")] = None
    engine_profile: Annotated[str, like(EngineOptions, "engine_profile")] = "default"
    host_kv: Annotated[str | None, like(EngineOptions, "host_kv")] = None
    host_kv_store: Annotated[str | None, like(EngineOptions, "host_kv_store")] = None
    host_kv_eviction: Annotated[str | None, like(EngineOptions, "host_kv_eviction")] = None
    host_kv_cost: Annotated[float | None, like(EngineOptions, "host_kv_cost")] = None
    host: Annotated[str, Option("ADDRESS", "Where to listen.", shows_default=True)] = "127.0.0.1"
    port: Annotated[int, Option("P", "0 for any that is free.", shows_default=True)] = 8000
    timeout: Annotated[
        float, Option("S", "Silence of a start that is given up.", shows_default=True)
    ] = 600.0
    plain: Annotated[
        Path | None,
        Option("FOLDER", "Write the emulated model there, print the `vllm serve` line, and end."),
    ] = None
