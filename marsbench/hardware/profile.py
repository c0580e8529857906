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
from dataclasses import asdict, astuple, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from marsbench.errors import UsageError, unknown_name
from marsbench.hardware import curves
from marsbench.hardware.catalog import load_profiles, named_gpu, named_model, read_profile
from marsbench.hardware.schema import Gpu, ModelShape, Precision, ProfileFile
from marsbench.hardware.served import (
    Served,
    Wish,
    dtype_name,
    hardware_id,
    parse_id,
    served_model,
)
from marsbench.hardware.steptime import StepTime

DEFAULT_MODEL, DEFAULT_GPU = "qwen3-coder-30b", "h200"
ACTIVATION_BYTES = 180_224 * 8_192
RUNTIME_BYTES = 3.5 * 2**30
PCIE_SHARE = 0.8
"""What a large copy of pinned memory reaches of a PCIe link's nominal rate."""
MIN_KV_TOKENS = 1_024
"""A KV cache of fewer tokens holds no request worth simulating."""


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
    """A model on a GPU at a precision: how much KV it holds and how long a step takes.

    kv_dtype: what an element of K or V is kept in; where the checkpoint asks for something else
        than 1 or 2 bytes, its bytes.
    source: what the step times rest on.
    longest_prefill, longest_decode: tokens of context up to which attention was measured; None
        where the step times do not come from a table.
    """

    id: str
    model: str
    gpu: str
    precision: str
    kv_dtype: str
    tensor_parallel: int
    max_model_len: int
    kv_bytes_per_token: float
    memory: Memory
    host_link_bytes_per_s: float
    memory_bytes_per_s: float
    step_time: StepTime
    source: str
    cautions: tuple[str, ...] = field(default=())
    longest_prefill: int | None = None
    longest_decode: int | None = None

    @property
    def identity(self) -> dict[str, str]:
        """What results say of it beside its numbers."""
        names = ("id", "model", "gpu", "precision", "kv_dtype")
        return {name: getattr(self, name) for name in names}

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

    @property
    def host_link_share(self) -> float:
        """What a copy at the link's speed takes of the GPU memory's bandwidth, its bytes once."""
        return self.host_link_bytes_per_s / self.memory_bytes_per_s

    def cautions_for(self, peak_tokens: int) -> tuple[str, ...]:
        """The cautions of a run whose longest context has so many tokens."""
        measured = (self.longest_prefill, self.longest_decode)
        beyond = [limit for limit in measured if limit is not None and peak_tokens > limit]
        if not beyond:
            return self.cautions
        caution = (
            f"Contexts of up to {peak_tokens:,} tokens go beyond the measured step times (prefill "
            f"to {self.longest_prefill:,}, decode to {self.longest_decode:,}); longer ones are "
            "extrapolated by bandwidth and FLOP rate. Rerun at +-20 % attention time."
        )
        return (*self.cautions, caution)

    def with_scale(self, **factors: float) -> Hardware:
        """The same hardware with scaled step times (`StepScale`); its hash differs, its id not.

        Itself where nothing is scaled.
        """
        if all(factor == 1 for factor in factors.values()):
            return self
        return replace(self, step_time=self.step_time.with_scale(**factors))

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


@dataclass(frozen=True, slots=True)
class HardwareCost:
    """What policies may know of a hardware's speed, whose steps hold `budget` tokens: seconds."""

    hardware: Hardware
    budget: int

    def prefill_s(self, num_tokens: int, prefix_tokens: int) -> float:
        return self.hardware.step_time.prefill_s(num_tokens, prefix_tokens, self.budget)

    def swap_s(self, num_tokens: int) -> float:
        return self.hardware.swap_s(num_tokens)


def load_hardware(
    model: str | None = None,
    gpu: str = DEFAULT_GPU,
    precision: str | None = None,
    *,
    kv_dtype: str | None = None,
    profile: Path | None = None,
) -> Hardware:
    """Hardware by name, by a printed id, or from a user's TOML profile, which decides the GPU.

    gpu: "h100", or an id like "h100:qwen3-coder-30b:fp8:kv-fp8", which fills in the rest.
    precision: of the weights; None is the model's first (bf16 for Qwen3-Coder-30B, mxfp4 for
        gpt-oss-120b).
    kv_dtype: "auto" (None), "bf16" or "fp8", as vLLM's --kv-cache-dtype: auto is bf16 unless the
        checkpoint says otherwise, whatever its weights are.
    A profile names its own model; the arguments fill in what it leaves out.
    """
    wish = Wish(model, precision, kv_dtype)
    if profile is not None:
        return _from_profile(read_profile(profile), profile.stem, wish)
    gpu, wish = _with_id(gpu, wish)
    profiles = load_profiles()
    if gpu in profiles:
        return _from_profile(profiles[gpu], gpu, wish)
    name = wish.model or DEFAULT_MODEL
    served = served_model(name, named_model(name), wish)
    card = named_gpu(gpu)
    grounded = curves.from_tables(gpu, name, served.precision, served.shape, served.bytes_per)
    grounded = grounded or curves.from_datasheet(card, served.shape, served.bytes_per, 1)
    return _hardware(gpu, card, served, grounded)


def _with_id(text: str, wish: Wish) -> tuple[str, Wish]:
    """The GPU of an id, and the wish with what else the id says."""
    gpu, said = parse_id(text)
    options = ("--model", "--precision", "--kv-dtype")
    both = list(zip(astuple(wish), astuple(said), strict=True))
    for option, (asked, told) in zip(options, both, strict=True):
        if asked is not None and told is not None and asked != told:
            raise UsageError(
                f"--gpu {text} says {told} and {option} {asked}; leave one of them out."
            )
    return gpu, Wish(*(told if asked is None else asked for asked, told in both))


def _from_profile(profile: ProfileFile, stem: str, wish: Wish) -> Hardware:
    name, gpus = profile.id or stem, profile.tensor_parallel
    own = Wish(None, profile.precision, None if profile.kv_dtype == "auto" else profile.kv_dtype)
    wish = Wish(wish.model, own.precision or wish.precision, own.kv_dtype or wish.kv_dtype)
    if isinstance(profile.model, ModelShape):
        served = served_model(f"{name}-model", profile.model, wish, gpus)
    else:
        model = profile.model or wish.model or DEFAULT_MODEL
        served = served_model(model, named_model(model), wish, gpus)
    return _hardware(name, profile.gpu, served, _grounded(profile, served))


def _grounded(profile: ProfileFile, served: Served) -> curves.Grounded:
    if profile.fit is None:
        _check_rate(profile.gpu, served.bytes_per)
        grounded = curves.from_datasheet(profile.gpu, served.shape, served.bytes_per, served.gpus)
    else:
        source = f"fit to {len(profile.points)} measured steps" if profile.points else "fit"
        grounded = curves.from_fit(profile.fit, served.shape, source)
    if profile.caution:
        return replace(grounded, cautions=(*grounded.cautions, profile.caution))
    return grounded


def _check_rate(gpu: Gpu, precision: Precision) -> None:
    for rate in (precision.compute, "bf16"):
        if rate not in gpu.compute:
            raise unknown_name(f"compute rate of {gpu.name}", rate, gpu.compute)


def _hardware(name: str, gpu: Gpu, served: Served, grounded: curves.Grounded) -> Hardware:
    shape, bytes_per, gpus = served.shape, served.bytes_per, served.gpus
    hardware = Hardware(
        id=hardware_id(name, served),
        model=served.model,
        gpu=name,
        precision=served.precision,
        kv_dtype=dtype_name(bytes_per.kv_bytes),
        tensor_parallel=gpus,
        max_model_len=shape.max_model_len,
        kv_bytes_per_token=shape.kv_bytes_per_token(bytes_per, gpus),
        memory=_memory(gpu, shape, bytes_per, gpus),
        host_link_bytes_per_s=gpu.host_link * PCIE_SHARE * gpus,
        memory_bytes_per_s=gpu.bandwidth * gpus,
        step_time=StepTime(grounded.curves),
        source=grounded.source,
        cautions=grounded.cautions,
        longest_prefill=grounded.longest_prefill,
        longest_decode=grounded.longest_decode,
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
