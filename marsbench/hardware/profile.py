"""The modelled hardware by name: `load_hardware("qwen3-coder-30b", "h200")`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, astuple, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from marsbench.errors import UsageError, unknown_name
from marsbench.hardware import curves
from marsbench.hardware.catalog import found_model, load_profiles, named_gpu, read_profile
from marsbench.hardware.memory import GROUPS, Memory, check_fits
from marsbench.hardware.schema import Gpu, ProfileFile
from marsbench.hardware.served import (
    Served,
    Wish,
    dtype_name,
    group_name,
    hardware_id,
    parse_id,
    served_model,
)
from marsbench.hardware.shape import ModelShape, Precision
from marsbench.hardware.steptime import StepTime

DEFAULT_MODEL, DEFAULT_GPU = "qwen3-coder-30b", "h200"
PCIE_SHARE = 0.8
"""What a large copy of pinned memory reaches of a PCIe link's nominal rate."""


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
    def group(self) -> str:
        """The GPU, and how many of them."""
        return group_name(self.gpu, self.tensor_parallel)

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
    tp: int | None = None,
    profile: Path | None = None,
) -> Hardware:
    """Hardware by name, by a printed id, or from a user's TOML profile, which decides the GPU.

    model: a name, or the path of a config.json as Hugging Face has it beside the weights.
    gpu: "h100", or an id like "h100x4:qwen3-coder-30b:fp8:kv-fp8", which fills in the rest.
    precision: of the weights; None is the model's first (bf16 for Qwen3-Coder-30B, mxfp4 for
        gpt-oss-120b).
    kv_dtype: "auto" (None), "bf16" or "fp8", as vLLM's --kv-cache-dtype: auto is bf16 unless the
        checkpoint says otherwise, whatever its weights are.
    tp: GPUs that the model is split over, as vLLM's --tensor-parallel-size.
    A profile names its own model; the arguments fill in what it leaves out.
    """
    wish = Wish(model, precision, kv_dtype, tp)
    if profile is not None:
        return _from_profile(read_profile(profile), profile.stem, wish)
    gpu, wish = _with_id(gpu, wish)
    profiles = load_profiles()
    if gpu in profiles:
        return _from_profile(profiles[gpu], gpu, wish)
    card, gpus = named_gpu(gpu), _group(wish.tp or 1)
    name, shape = found_model(wish.model or DEFAULT_MODEL)
    served = served_model(name, shape, wish, gpus)
    grounded = curves.from_tables(gpu, served)
    grounded = grounded or curves.from_shape(card, served)
    return _hardware(gpu, card, served, grounded)


def _group(tp: int) -> int:
    if tp not in GROUPS:
        raise UsageError(
            f"--tp takes 1, 2, 4 or 8, the GPUs of one machine that share the model, not {tp}."
        )
    return tp


def _with_id(text: str, wish: Wish) -> tuple[str, Wish]:
    """The GPU of an id, and the wish with what else the id says."""
    gpu, said = parse_id(text)
    options = ("--model", "--precision", "--kv-dtype", "--tp")
    both = list(zip(astuple(wish), astuple(said), strict=True))
    for option, (asked, told) in zip(options, both, strict=True):
        if asked is not None and told is not None and asked != told:
            raise UsageError(
                f"--gpu {text} says {told} and {option} {asked}; leave one of them out."
            )
    return gpu, Wish(*(told if asked is None else asked for asked, told in both))


def _from_profile(profile: ProfileFile, stem: str, wish: Wish) -> Hardware:
    name, gpus = profile.id or stem, _gpus_of(profile, stem, wish.tp)
    own = Wish(None, profile.precision, None if profile.kv_dtype == "auto" else profile.kv_dtype)
    wish = Wish(wish.model, own.precision or wish.precision, own.kv_dtype or wish.kv_dtype)
    if isinstance(profile.model, ModelShape):
        served = served_model(f"{name}-model", profile.model, wish, gpus)
    else:
        model, shape = found_model(profile.model or wish.model or DEFAULT_MODEL)
        served = served_model(model, shape, wish, gpus)
    return _hardware(name, profile.gpu, served, _grounded(profile, served))


def _gpus_of(profile: ProfileFile, stem: str, tp: int | None) -> int:
    """Those of the profile; of a datasheet that does not say, as many as are asked for."""
    own = profile.tensor_parallel
    if tp is None or tp == own:
        return own
    if "tensor_parallel" in profile.model_fields_set or profile.fit is not None:
        raise UsageError(f"{stem} is for {own} GPUs and --tp says {tp}; leave --tp out.")
    return tp


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
    named = hardware_id(name, served)
    return Hardware(
        id=named,
        model=served.model,
        gpu=name,
        precision=served.precision,
        kv_dtype=dtype_name(bytes_per.kv_bytes),
        tensor_parallel=gpus,
        max_model_len=shape.max_model_len,
        kv_bytes_per_token=shape.kv_bytes_per_token(bytes_per, gpus),
        memory=check_fits(named, gpu, served),
        host_link_bytes_per_s=gpu.host_link * PCIE_SHARE * gpus,
        memory_bytes_per_s=gpu.bandwidth * gpus,
        step_time=StepTime(grounded.curves),
        source=grounded.source,
        cautions=(*grounded.cautions, *served.cautions),
        longest_prefill=grounded.longest_prefill,
        longest_decode=grounded.longest_decode,
    )
