"""What is asked of a server, and the command of vLLM that it comes to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import marsbench_backends
from marsbench.core.backends import Choice
from marsbench.core.code import ROOT
from marsbench.core.settings import EngineSettings
from marsbench.errors import UsageError
from marsbench.hardware.profile import Hardware
from marsbench.offload.host_kv import HostKv, check_size
from marsbench.serve.emulated import check_speed, emulated_hardware
from marsbench.serve.plugin import EXECUTOR

LOOPBACK = "127.0.0.1"
SCHEDULER = "marsbench_backends.scheduler.MarsbenchScheduler"
OURS = {
    "--additional-config": "--set",
    "--host": "--host",
    "--kv-events-config": "--no-kv-events",
    "--port": "--port",
    "--scheduler-cls": "--backend",
}
"""Flags of vLLM that `marsbench serve` sets itself, and what to give instead."""

TENSOR_PARALLEL = ("--tensor-parallel-size", "-tp")


@dataclass(frozen=True)
class ServeRequest:
    """One server.

    model: what vLLM is to load; None for an emulated GPU.
    emulate: `GPU:MODEL`, or a hardware profile's file; its step times and its KV capacity.
    tp: GPUs that share the model; None is what `emulate` or vLLM's flags say.
    speed: how many emulated seconds pass in a second.
    settings: of an emulated server; a real one has vLLM's own, or those in `flags`, and takes
        `host_kv` alone (but not its cost, which is what it is).
    port: 0 for any that is free.
    flags: handed to vLLM as they are.
    record: a file to write every scheduling decision to, for the fidelity test.
    kernels: the Python of a vLLM for CPUs, which then computes the emulated server's tiny model
        with real kernels; None lets steps take their modelled time.
    tree: the folder of another vLLM, for an emulated server.
    responses: `module:Class` of a script of replies (marsbench/serve/replies.py).
    """

    choice: Choice
    model: str | None = None
    emulate: str | None = None
    tp: int | None = None
    speed: float = 1.0
    settings: EngineSettings = field(default_factory=EngineSettings)
    host: str = LOOPBACK
    port: int = 0
    flags: tuple[str, ...] = ()
    record: Path | None = None
    responses: str | None = None
    kernels: Path | None = None
    tree: Path | None = None

    def __post_init__(self) -> None:
        check_speed(self.speed)
        if (self.model is None) == (self.emulate is None):
            raise UsageError(
                "marsbench serve takes a MODEL for vLLM to load, or --emulate GPU:MODEL without "
                "one; for example marsbench serve --backend mars --emulate h200:qwen3-coder-30b."
            )
        if self.emulate is None and self.tree is not None:
            raise UsageError(
                "--vllm is for an emulated GPU: its Python files come without kernels; give "
                "--emulate, or install that vLLM and leave --vllm out."
            )
        if self.settings.host_kv is not None:
            self._check_host_kv(self.settings.host_kv)
        if self.emulate is None and self.speed != 1:
            raise UsageError("--speed is for an emulated GPU; leave it out, or give --emulate.")
        self._check_tp()
        for flag in self.flags:
            name = flag.partition("=")[0]
            if name in OURS:
                raise UsageError(f"{name} is set by marsbench serve; use {OURS[name]} before --.")

    def _check_tp(self) -> None:
        if self.tp is None or self.emulate is not None:
            return
        if self.tp < 1:
            raise UsageError(f"--tp must be at least 1, not {self.tp}.")
        for flag in self.flags:
            if flag.partition("=")[0].replace("_", "-") in TENSOR_PARALLEL:
                raise UsageError(f"{flag} and --tp {self.tp} are one thing; leave one of them out.")

    def _check_host_kv(self, host_kv: HostKv) -> None:
        if self.kernels is not None:
            raise UsageError(
                "--host-kv needs a GPU, emulated or not: vLLM copies no KV of a server that "
                "computes on CPUs; leave it out."
            )
        if self.hardware is not None:
            check_size(host_kv, self.settings.block_size * self.hardware.kv_bytes_per_token)
        elif host_kv.cost != 1:
            raise UsageError(
                "--host-kv-cost is for an emulated GPU; leave it out, or give --emulate."
            )

    @property
    def hardware(self) -> Hardware | None:
        """What is emulated; None on a real GPU."""
        return None if self.emulate is None else emulated_hardware(self.emulate, self.tp)

    @property
    def served_name(self) -> str:
        """The model's name in requests."""
        return self.hardware.model if self.hardware is not None else str(self.model)

    def marsbench_config(self) -> dict[str, Any]:
        """What the server's processes are told: `additional_config["marsbench"]`."""
        config: dict[str, Any] = {
            "backend": self.choice.name,
            "settings": dict(self.choice.settings),
        }
        if self.emulate is not None:
            is_file = self.emulate.endswith(".toml")
            config["emulate"] = str(Path(self.emulate).absolute()) if is_file else self.emulate
            config["cost"] = "marsbench.serve.emulated:engine_cost"
            config["speed"] = self.speed
            if self.tp is not None:
                config["tp"] = self.tp
            if self.settings.host_kv is not None:
                config["host_kv_cost"] = self.settings.host_kv.cost
        if self.record is not None:
            config["record"] = str(self.record.absolute())
        if self.responses is not None:
            config["responses"] = self.responses
        return config


def kv_blocks(request: ServeRequest, hardware: Hardware) -> int:
    """KV blocks of an emulated server."""
    return request.settings.num_blocks(hardware)


def max_model_len(request: ServeRequest, hardware: Hardware) -> int:
    """The longest context: the model's, or what the KV blocks hold if that is less."""
    return min(hardware.max_model_len, kv_blocks(request, hardware) * request.settings.block_size)


def command(request: ServeRequest, port: int, model: str) -> list[str]:
    """Python's arguments: vLLM, our flags, then the user's, which win."""
    events = {"enable_kv_cache_events": True, "publisher": "zmq", "endpoint": "tcp://*:0"}
    ours: dict[str, str | int | None] = {
        "--host": request.host,
        "--port": port,
        "--served-model-name": request.served_name,
        "--scheduler-cls": SCHEDULER,
        "--additional-config": json.dumps({"marsbench": request.marsbench_config()}),
        "--kv-events-config": json.dumps(events),
        "--enable-prefix-caching": None,
        "--enable-prompt-tokens-details": None,
    }
    hardware, host_kv = request.hardware, request.settings.host_kv
    if hardware is None and request.tp is not None:
        ours["--tensor-parallel-size"] = request.tp
    if hardware is not None:
        ours.update(_emulated_flags(request, hardware))
    if host_kv is not None:
        ours.update(_offloading_flags(host_kv))
    pairs = (part for name, value in ours.items() for part in (name, value) if part is not None)
    return ["-m", *_entry(request, model), *map(str, pairs), *request.flags]


def _entry(request: ServeRequest, model: str) -> tuple[str, ...]:
    """The module to run; a build of vLLM under another name has no `vllm serve`."""
    if request.kernels is None:
        return ("vllm.entrypoints.cli.main", "serve", model)
    return ("vllm.entrypoints.openai.api_server", "--model", model)


def _emulated_flags(request: ServeRequest, hardware: Hardware) -> dict[str, str | int | None]:
    settings = request.settings
    reserve = "" if settings.reserve_full_prompt else "no-"
    executor = {} if request.kernels else {"--distributed-executor-backend": EXECUTOR}
    return {
        **executor,
        "--load-format": "dummy",
        "--enforce-eager": None,
        "--dtype": "bfloat16",
        "--max-model-len": max_model_len(request, hardware),
        "--max-num-batched-tokens": settings.max_num_batched_tokens,
        "--max-num-seqs": settings.max_num_seqs,
        "--block-size": settings.block_size,
        # vLLM sets one block aside; the simulator does not count it.
        "--num-gpu-blocks-override": kv_blocks(request, hardware) + 1,
        f"--{reserve}scheduler-reserve-full-isl": None,
        "--enable-auto-tool-choice": None,
        "--tool-call-parser": "hermes",
        "--disable-uvicorn-access-log": None,
    }


def _offloading_flags(host_kv: HostKv) -> dict[str, str | int | None]:
    """vLLM makes the connector of the size; what it takes beside that goes with it."""
    more = {k: v for k, v in host_kv.extra_config.items() if k != "cpu_bytes_to_use"}
    config = {"kv_connector_extra_config": more}
    return {
        "--kv-offloading-size": f"{host_kv.size_gib:.17g}",
        "--kv-transfer-config": json.dumps(config),
    }


def environment(request: ServeRequest, plugin: Path) -> Mapping[str, str]:
    """Of the server's processes: nothing goes out, KV events bind to loopback."""
    env = dict(os.environ)
    env.setdefault("VLLM_HOST_IP", LOOPBACK)
    env.setdefault("VLLM_LOOPBACK_IP", LOOPBACK)
    env.setdefault("VLLM_NO_USAGE_STATS", "1")
    env.setdefault("DO_NOT_TRACK", "1")
    env.pop("VLLM_LOGGING_LEVEL", None)  # the simulator silences it; here the log is what explains
    path = [env["PYTHONPATH"]] if env.get("PYTHONPATH") else []
    host_kv = request.settings.host_kv
    has_class = host_kv is not None and host_kv.evicts_by_class
    if ":" in request.choice.name or ":" in (request.responses or "") or has_class:
        path.append(str(Path.cwd()))
    if request.emulate is not None:
        env.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
        env.pop("VLLM_TARGET_DEVICE", None)  # it would keep vLLM from asking the plugin
        path = [*(_packages() if request.kernels else [str(plugin)]), *path]
    if request.tree is not None:
        path.insert(0, str(request.tree))
    if host_kv is not None and host_kv.is_lazy:
        env["VLLM_USE_SIMPLE_KV_OFFLOAD"] = "1"
    if request.kernels is not None:
        env.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; else vLLM asks for nearly all there is
    env["PYTHONPATH"] = os.pathsep.join(path)
    return env


def _packages() -> list[str]:
    """Where this marsbench and its backends lie, for a Python that has neither installed."""
    return [str(ROOT), str(Path(marsbench_backends.__path__[0]).parent)]
