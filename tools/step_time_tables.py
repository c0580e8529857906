"""Write the step-time tables that ship in marsbench/hardware/data/steptime.

    python -m venv /tmp/aic && /tmp/aic/bin/pip install aiconfigurator-core==0.12.0
    /tmp/aic/bin/python tools/step_time_tables.py

A development tool: marsbench itself neither imports nor needs that package. Each table holds three
curves at the nodes of the package's measured grid, in microseconds, and nothing beyond it:

    rest      everything but attention, by total tokens: 1 to 16,384; with several GPUs what they
              send each other, all-reduces as they were measured
    prefill   attention of a chunk on a prefix, chunk + prefix up to 16,384 tokens
    decode    attention of n requests at a context of s tokens each, s up to 65,536

A second file, for the tests, holds whole steps that the package predicts at other batches, some of
them beyond the grid, and the package's own measurements of serving gpt-oss-120b on an H200.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from aiconfigurator_core import sdk

PACKAGE, BACKEND, BACKEND_VERSION = "aiconfigurator-core", "vllm", "0.24.0"
ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "marsbench" / "hardware" / "data" / "steptime"
CHECKS = ROOT / "tests" / "hardware" / "data" / "steps.json"
SYSTEMS = Path(sdk.__file__).resolve().parent.parent / "systems"

TOKENS = [1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 768]
TOKENS += [1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384]
CHUNKS = [1, 16, 32, 64, 128, 256, 512, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384]
PREFIXES = [0, 512, 1024, 2048, 4096, 8192]
MAX_PREFILL = 16_384
REQUESTS = [2**power for power in range(11)]
CONTEXTS = [2**power for power in range(17)]
MAX_DECODE_KV = 524_288
SAMPLED = 64
"""The output head's GEMM is for sampled tokens only, and flat up to a few hundred of them."""


class Profile(NamedTuple):
    """tp: GPUs of a tensor-parallel group; whole: each has whole experts, not a part of all."""

    gpu: str
    model: str
    precision: str
    system: str
    source_model: str
    quantization: dict[str, str]
    tp: int = 1
    whole: bool = False

    @property
    def group(self) -> str:
        return self.gpu if self.tp == 1 else f"{self.gpu}x{self.tp}"

    @property
    def name(self) -> str:
        return f"{self.group}-{self.model}-{self.precision}"

    @property
    def id(self) -> str:
        """As marsbench prints it; the package serves KV in fp8 beside fp8 weights."""
        kv = ":kv-fp8" if self.precision == "fp8" else ""
        return f"{self.group}:{self.model}:{self.precision}{kv}"

    @property
    def parallel(self) -> dict[str, int]:
        ep = self.tp if self.whole else 1
        return PARALLEL | {"tp_size": self.tp, "moe_tp_size": self.tp // ep, "moe_ep_size": ep}


# The block-scaled GEMM rows are launch-bound (57 us for one token, 10 us in bf16), which a server
# with CUDA graphs is not; the per-tensor rows of the same shapes stand in for them.
PER_TENSOR = {"gemm_quant_mode": "fp8", "moe_quant_mode": "fp8_block"}
MODELS: list[tuple[str, str, str, dict[str, str]]] = [
    ("qwen3-coder-30b", "bf16", "Qwen/Qwen3-30B-A3B", {}),
    ("qwen3-coder-30b", "fp8", "Qwen/Qwen3-30B-A3B-FP8", PER_TENSOR),
    ("gpt-oss-120b", "mxfp4", "openai/gpt-oss-120b", {}),
    ("llama-3.3-70b", "bf16", "meta-llama/Meta-Llama-3.1-70B", {}),
    ("llama-3.3-70b", "fp8", "nvidia/Llama-3.1-70B-Instruct-FP8", {}),
    ("qwen3-235b", "bf16", "Qwen/Qwen3-235B-A22B", {}),
    ("qwen3-235b", "fp8", "Qwen/Qwen3-235B-A22B-FP8", PER_TENSOR),
    ("qwen3-coder-480b", "bf16", "Qwen/Qwen3-Coder-480B-A35B-Instruct", {}),
    (
        "qwen3-coder-480b",
        "fp8",
        "Qwen/Qwen3-Coder-480B-A35B-Instruct",
        {**PER_TENSOR, "kvcache_quant_mode": "fp8"},
    ),
]
GROUPS = {
    "qwen3-coder-30b": (1, 2, 4, 8),
    "gpt-oss-120b": (1, 2, 4, 8),
    "llama-3.3-70b": (1, 2, 4, 8),
    "qwen3-235b": (2, 4, 8),
    "qwen3-coder-480b": (4, 8),
}
"""GPUs on which a model fits at one of its precisions: all are made, for the KV of the other."""
TOO_SMALL = [("h100", "qwen3-235b", 2), ("h100", "qwen3-coder-480b", 4)]
BLOCK = 128
"""Experts are quantized to fp8 in such blocks, and vLLM splits none of them."""
EXPERT_HIDDEN = {"qwen3-coder-30b": 768, "qwen3-235b": 1536, "qwen3-coder-480b": 2560}


def has_whole_experts(model: str, precision: str, tp: int) -> bool:
    """Where the parts of an expert are no blocks, vLLM needs --enable-expert-parallel."""
    return precision == "fp8" and EXPERT_HIDDEN.get(model, 0) // tp % BLOCK != 0


PROFILES = [
    Profile(
        gpu=gpu,
        model=model,
        precision=precision,
        system=f"{gpu}_sxm",
        source_model=source,
        quantization=quantization,
        tp=tp,
        whole=has_whole_experts(model, precision, tp),
    )
    for gpu in ("h100", "h200", "b200")
    for model, precision, source, quantization in MODELS
    for tp in GROUPS[model]
    if (gpu, model, tp) not in TOO_SMALL
]
PARALLEL = dict.fromkeys(
    ("tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size"), 1
)


class Package:
    """The package's engine for one profile; times in microseconds."""

    def __init__(self, profile: Profile, models: Path) -> None:
        source = str(long_context(profile.source_model, models))
        self._engine = sdk.EngineHandle.compile(
            source,
            profile.system,
            BACKEND,
            backend_version=BACKEND_VERSION,
            **profile.parallel,
            **profile.quantization,
        )

    def prefill_ops(self, chunk: int, prefix: int) -> dict[str, float]:
        ops, _ = self._engine.run_static_per_op(
            batch_size=1, isl=chunk + prefix, osl=1, prefix=prefix, mode="static_ctx"
        )
        return {op[0].removeprefix("context_"): op[1] * 1e3 for op in ops}

    def decode_ops(self, requests: int, context: int) -> dict[str, float]:
        ops = self._engine.decode_step_per_op(requests, context, 2)
        return {op[0].removeprefix("generation_"): op[1] * 1e3 for op in ops}

    def rest(self, num_tokens: int) -> float:
        """All-reduces included. Of the output head what is sampled from, as decodes have it."""
        ops = self.prefill_ops(num_tokens, 0)
        head = self.decode_ops(min(num_tokens, SAMPLED), 1)["logits_gemm"]
        return sum(ops.values()) - ops["attention"] - ops.get("logits_gemm", 0.0) + head

    def prefill(self, chunk: int, prefix: int) -> float:
        return self.prefill_ops(chunk, prefix)["attention"]

    def decode(self, requests: int, context: int) -> float:
        return self.decode_ops(requests, context)["attention"]


def long_context(source_model: str, models: Path) -> Path | str:
    """The bundled config with the context of the Coder model, 262,144 tokens, where it is Qwen's.

    The two differ in nothing else that a step's time depends on.
    """
    if not source_model.startswith("Qwen/"):
        return source_model
    bundled = SYSTEMS.parent / "model_configs"
    name = source_model.replace("/", "--")
    target = models / name
    target.mkdir(exist_ok=True)
    config = json.loads((bundled / f"{name}_config.json").read_text())
    config["max_position_embeddings"] = 262_144
    (target / "config.json").write_text(json.dumps(config))
    for extra in bundled.glob(f"{name}_hf_quant_config.json"):
        shutil.copy(extra, target / "hf_quant_config.json")
    return target


def table(profile: Profile, package: Package) -> dict[str, Any]:
    curves = {
        "rest": {"tokens": TOKENS, "us": [us(package.rest(n)) for n in TOKENS]},
        "prefill": {
            "chunks": CHUNKS,
            "prefixes": PREFIXES,
            "us": [
                [us(package.prefill(c, p)) if c + p <= MAX_PREFILL else None for p in PREFIXES]
                for c in CHUNKS
            ],
        },
        "decode": {
            "requests": REQUESTS,
            "contexts": CONTEXTS,
            "us": [
                [us(package.decode(n, s)) if n * s <= MAX_DECODE_KV else None for s in CONTEXTS]
                for n in REQUESTS
            ],
        },
    }
    return {"provenance": provenance(profile, curves), **curves}


def us(value: float) -> float:
    """Microseconds, rounded to six digits: kernels repeat to three."""
    return float(f"{value:.6g}")


def provenance(profile: Profile, curves: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(curves, sort_keys=True)
    return {
        "profile": f"{profile.group}:{profile.model}:{profile.precision}",
        "package": PACKAGE,
        "version": metadata.version(PACKAGE),
        "licence": "Apache-2.0, Copyright (c) 2025-2026 NVIDIA CORPORATION & AFFILIATES",
        "measured_with": f"{BACKEND} {BACKEND_VERSION} on {profile.system}",
        "source_model": profile.source_model,
        "quantization": profile.quantization,
        **({"parallel": profile.parallel} if profile.tp > 1 else {}),
        "sources_sha256": dict(sources(profile)),
        "table_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "command": "python tools/step_time_tables.py",
    }


FOLDERS = {
    "context_attention": "attention",
    "generation_attention": "attention",
    "gemm": "gemm",
    "moe": "moe",
    "custom_allreduce": "comm",
}


def sources(profile: Profile) -> Iterator[tuple[str, str]]:
    """The package's measured tables that the curves come from, with their hashes."""
    for kind, folder in FOLDERS.items():
        if folder == "comm" and profile.tp == 1:
            continue
        version = f"{BACKEND}/{BACKEND_VERSION}"
        name = f"data/{profile.system}/{folder}/{version}/{kind}_perf.parquet"
        yield name, hashlib.sha256((SYSTEMS / name).read_bytes()).hexdigest()[:16]


def steps(profile: Profile, package: Package) -> list[dict[str, Any]]:
    """Whole steps at random batches, a third of each kind, as the package composes them."""
    rng = random.Random(profile.model + profile.precision + profile.group)
    out = []
    for number in range(90):
        kind = ("decode", "prefill", "mixed")[number % 3]
        requests = rng.choice([1, 2, 3, 6, 8, 12, 24, 48, 64]) if kind != "prefill" else 0
        longest = min(MAX_CONTEXT[profile.model], 2_000_000 // max(requests, 1))
        context = int(1024 * (longest / 1024) ** rng.random()) if requests else 0
        chunk = rng.choice([96, 400, 700, 1300, 2048, 5000, 8192]) if kind != "decode" else 0
        prefix = int(512 * (MAX_CONTEXT[profile.model] / 512) ** rng.random()) if chunk else 0
        seconds = whole(package, requests, context, chunk, prefix)
        out.append(
            {"decodes": requests, "kv": requests * context, "chunk": chunk, "prefix": prefix}
            | {"s": float(f"{seconds:.5g}")}
        )
    return out


MAX_CONTEXT = {
    "qwen3-coder-30b": 250_000,
    "gpt-oss-120b": 130_000,
    "llama-3.3-70b": 130_000,
    "qwen3-235b": 250_000,
    "qwen3-coder-480b": 250_000,
}
CHECKED = (
    *("h100:qwen3-coder-30b:bf16", "h100:qwen3-coder-30b:fp8:kv-fp8", "h100:gpt-oss-120b:mxfp4"),
    *("h200:qwen3-coder-30b:bf16", "h200:qwen3-coder-30b:fp8:kv-fp8", "h200:gpt-oss-120b:mxfp4"),
    *("h100x4:llama-3.3-70b:bf16", "h200x4:llama-3.3-70b:fp8:kv-fp8"),
    *("h100x8:qwen3-235b:bf16", "h200x8:qwen3-coder-480b:fp8:kv-fp8"),
    *("b200:gpt-oss-120b:mxfp4", "b200x2:llama-3.3-70b:bf16"),
)
"""Whose whole steps are kept for the tests."""


def whole(package: Package, requests: int, context: int, chunk: int, prefix: int) -> float:
    """Seconds of a step: shared operators once, by the package at their total of tokens."""
    total = package.rest(requests + chunk)
    total += package.prefill(chunk, prefix) if chunk else 0.0
    total += package.decode(requests, context) if requests else 0.0
    return total * 1e-6


MEASURED = {
    ("h200_sxm", "openai/gpt-oss-120b"): "h200{}:gpt-oss-120b:mxfp4",
    ("h100_sxm", "openai/gpt-oss-120b"): "h100{}:gpt-oss-120b:mxfp4",
    ("h200_sxm", "meta-llama/Llama-3.1-70B"): "h200{}:llama-3.3-70b:fp8:kv-fp8",
    ("h100_sxm", "meta-llama/Llama-3.1-70B"): "h100{}:llama-3.3-70b:fp8:kv-fp8",
}
"""Whose measured serving the package ships, by the profile that it is of."""
MOST_STREAMS = 64


def silicon() -> list[dict[str, Any]]:
    """Measured serving of a profile's model on a group of GPUs: closed loop, fixed lengths."""
    with (SYSTEMS / "silicon_sample.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if wanted(row)]
    keys = ("system", "model_path", "tp_size", "isl", "osl", "batch_size", "silicon_tpot_ms")
    values = {tuple(row[key] for key in keys): row for row in rows}
    return [
        {
            "profile": measured_profile(row),
            "id": row["id"],
            "isl": int(row["isl"]),
            "osl": int(row["osl"]),
            "concurrency": int(float(row["batch_size"])),
            "tpot_ms": round(float(row["silicon_tpot_ms"]), 4),
        }
        for row in values.values()
    ]


def measured_profile(row: dict[str, str]) -> str:
    tp = int(float(row["tp_size"]))
    name = MEASURED[row["system"], row["model_path"]]
    return name.format("" if tp == 1 else f"x{tp}")


def wanted(row: dict[str, str]) -> bool:
    """With 512 streams, TPOT was measured of the few that were not queued."""
    known = (row["system"], row["model_path"]) in MEASURED
    few = float(row["batch_size"] or 0) <= MOST_STREAMS
    return known and few and row["backend"] == BACKEND and row["mode"] == "agg"


def main() -> None:
    logging.disable(logging.CRITICAL)  # the package warns of tables that are not used here
    TABLES.mkdir(parents=True, exist_ok=True)
    CHECKS.parent.mkdir(parents=True, exist_ok=True)
    checks: dict[str, Any] = {"source": f"{PACKAGE} {metadata.version(PACKAGE)}, Apache-2.0"}
    with tempfile.TemporaryDirectory() as folder:
        for profile in PROFILES:
            package = Package(profile, Path(folder))
            write(TABLES / f"{profile.name}.json", table(profile, package))
            if profile.id in CHECKED:
                checks[profile.id] = steps(profile, package)
            print(profile.name, flush=True)
    checks["silicon"] = silicon()
    write(CHECKS, checks)


def write(path: Path, value: dict[str, Any]) -> None:
    """JSON with each innermost list or object on a line."""
    text = json.dumps(value, indent=1)
    text = re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda match: " ".join(match[0].split()), text)
    path.write_text(text + "\n")


if __name__ == "__main__":
    main()
