"""The modelled hardware by name: `load_hardware("qwen3-coder-30b", "h200")`.

    KV tokens = (fraction x memory - weights - activations - runtime) / KV bytes per token

activations are 180,224 B for each of the 8,192 tokens that a step may hold (1.375 GiB); runtime
is 3.5 GiB for the CUDA context, graphs, the input embedding and fragmentation. Both are what
aiconfigurator-core 0.12.0 reserves for vLLM; with them the formula gives its capacities for
Qwen3-Coder-30B to the token (docs/hardware.md).
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from marsbench.errors import UsageError, unknown_name
from marsbench.hardware import roofline
from marsbench.hardware.schema import Gpu, ModelShape, Precision, ProfileFile
from marsbench.hardware.steptime import Curves, StepTime

ACTIVATION_BYTES = 180_224 * 8_192
RUNTIME_BYTES = 3.5 * 2**30
PCIE_SHARE = 0.8
"""What a large copy of pinned memory reaches of a PCIe link's nominal rate."""
MIN_KV_TOKENS = 1_024
"""A KV cache of fewer tokens holds no request worth simulating."""

DATASHEET_CAUTION = (
    "Step times are a roofline from datasheet numbers, not measured; "
    "rerun at +-20 % step time to see whether the ranking holds."
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Memory:
    """Where a GPU's bytes go, summed over the GPUs of a tensor-parallel group."""

    total_bytes: float
    weight_bytes: float
    activation_bytes: float
    runtime_bytes: float

    def kv_bytes(self, fraction: float) -> float:
        used = self.weight_bytes + self.activation_bytes + self.runtime_bytes
        return fraction * self.total_bytes - used


@dataclass(frozen=True)
class Hardware:
    """A model on a GPU at a precision: how much KV it holds and how long a step takes."""

    id: str
    model: str
    gpu: str
    precision: str
    tensor_parallel: int
    max_model_len: int
    kv_bytes_per_token: float
    memory: Memory
    host_link_bytes_per_s: float
    step_time: StepTime
    cautions: tuple[str, ...] = field(default=())

    def kv_tokens(self, memory_fraction: float = 0.9) -> int:
        """Tokens of KV that fit when the server may use this fraction of GPU memory."""
        if not 0 < memory_fraction <= 1:
            raise UsageError(f"The memory fraction must be in (0, 1], not {memory_fraction}.")
        return max(0, int(self.memory.kv_bytes(memory_fraction) // self.kv_bytes_per_token))

    def kv_blocks(self, block_size: int, memory_fraction: float = 0.9) -> int:
        """Whole blocks of `block_size` tokens in the KV cache."""
        return self.kv_tokens(memory_fraction) // block_size

    def swap_s(self, num_tokens: int) -> float:
        """Seconds to copy the KV of that many tokens to host memory, or back."""
        return num_tokens * self.kv_bytes_per_token / self.host_link_bytes_per_s

    def with_scale(
        self,
        step: float = 1.0,
        attention: float = 1.0,
        weights: float = 1.0,
        overhead: float = 1.0,
    ) -> Hardware:
        """The same hardware with scaled step times; its hash differs, its id does not."""
        scaled = self.step_time.with_scale(step, attention, weights, overhead)
        return replace(self, step_time=scaled)

    @cached_property
    def hash(self) -> str:
        """Of every number that decides a simulated time; a cache key for ideal times."""
        facts = {
            "max_model_len": self.max_model_len,
            "kv_bytes_per_token": self.kv_bytes_per_token,
            "memory": asdict(self.memory),
            "host_link_bytes_per_s": self.host_link_bytes_per_s,
            "step_time": self.step_time.facts(),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def load_hardware(
    model: str = "qwen3-coder-30b",
    gpu: str = "h200",
    precision: str | None = None,
    *,
    profile: Path | None = None,
) -> Hardware:
    """Hardware by name, or from a user's TOML profile, which then decides the GPU.

    precision: None is the model's first (bf16 for Qwen3-Coder-30B, mxfp4 for gpt-oss-120b).
    """
    if profile is not None:
        return _from_file(profile, model, precision)
    gpus = load_gpus()
    if gpu not in gpus:
        cure = " For your own, write a profile: docs/hardware.md."
        raise unknown_name("GPU", gpu, gpus, cure)
    return _assemble(gpu, gpus[gpu], model, _named_model(model), precision, 1)


def load_models() -> dict[str, ModelShape]:
    """The model shapes that ship with marsbench, by name."""
    return _packaged("models.toml", TypeAdapter(dict[str, ModelShape]))


def load_gpus() -> dict[str, Gpu]:
    """The GPUs that ship with marsbench, by name."""
    return _packaged("gpus.toml", TypeAdapter(dict[str, Gpu]))


def _packaged(name: str, schema: TypeAdapter[T]) -> T:
    text = resources.files("marsbench.hardware").joinpath("data", name).read_text("utf-8")
    return schema.validate_python(tomllib.loads(text))


def _named_model(name: str) -> ModelShape:
    models = load_models()
    if name not in models:
        raise unknown_name("model", name, models)
    return models[name]


def _from_file(path: Path, model: str, precision: str | None) -> Hardware:
    profile = _read_profile(path)
    name = profile.id or path.stem
    if isinstance(profile.model, ModelShape):
        model, shape = f"{name}-model", profile.model
    else:
        model = profile.model or model
        shape = _named_model(model)
    precision = profile.precision or precision
    return _assemble(name, profile.gpu, model, shape, precision, profile.tensor_parallel)


def _read_profile(path: Path) -> ProfileFile:
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        return ProfileFile.model_validate(values)
    except OSError as error:
        raise UsageError(f"Cannot read the profile {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}.") from error
    except ValidationError as error:
        raise UsageError(f"{path}: {_first_problem(error)}") from error


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}."


def _assemble(
    gpu_name: str, gpu: Gpu, model: str, shape: ModelShape, precision: str | None, gpus: int
) -> Hardware:
    precision = precision or next(iter(shape.precisions))
    if precision not in shape.precisions:
        raise unknown_name(f"precision of {model}", precision, shape.precisions)
    bytes_per = shape.precisions[precision]
    if bytes_per.compute not in gpu.compute:
        raise unknown_name(f"compute rate of {gpu.name}", bytes_per.compute, gpu.compute)
    group = f"{gpu_name}x{gpus}" if gpus > 1 else gpu_name
    hardware = Hardware(
        id=f"{group}:{model}:{precision}",
        model=model,
        gpu=gpu_name,
        precision=precision,
        tensor_parallel=gpus,
        max_model_len=shape.max_model_len,
        kv_bytes_per_token=shape.kv_bytes_per_token(bytes_per),
        memory=_memory(gpu, shape, bytes_per, gpus),
        host_link_bytes_per_s=gpu.host_link * PCIE_SHARE * gpus,
        step_time=StepTime(_roofline(gpu, shape, bytes_per, gpus)),
        cautions=(DATASHEET_CAUTION,),
    )
    _check_holds_a_request(hardware)
    return hardware


def _check_holds_a_request(hardware: Hardware) -> None:
    tokens = hardware.kv_tokens()
    if tokens < MIN_KV_TOKENS:
        total = hardware.memory.total_bytes / 2**30
        weights = hardware.memory.weight_bytes / 2**30
        raise UsageError(
            f"{hardware.id} holds {tokens} tokens of KV, less than any request needs: 0.9 x "
            f"{total:.1f} GiB of memory, less {weights:.1f} GiB of weights and 4.9 GiB for "
            "activations and runtime. Use more memory, more GPUs or a smaller precision."
        )


def _memory(gpu: Gpu, shape: ModelShape, precision: Precision, gpus: int) -> Memory:
    return Memory(
        total_bytes=gpu.memory * gpus,
        weight_bytes=shape.weight_bytes(precision),
        activation_bytes=ACTIVATION_BYTES * gpus,
        runtime_bytes=RUNTIME_BYTES * gpus,
    )


def _roofline(gpu: Gpu, shape: ModelShape, precision: Precision, gpus: int) -> Curves:
    """Tensor parallelism divides bytes and FLOPs; what it says on the wire is not modelled."""
    group = gpu.model_copy(
        update={
            "bandwidth": gpu.bandwidth * gpus,
            "compute": {name: rate * gpus for name, rate in gpu.compute.items()},
        }
    )
    return Curves(
        overhead_s=gpu.roofline.overhead,
        rest=roofline.rest(shape, precision, group),
        prefill=roofline.prefill(shape, group),
        decode=roofline.decode(shape, precision, group),
    )
