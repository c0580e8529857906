"""A model as it is served: which weights, which KV, split over how many GPUs; and its name.

Results print that name, and it can be read back: "h100:qwen3-coder-30b:fp8:kv-fp8".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

from marsbench.errors import UsageError, unknown_name
from marsbench.hardware.schema import KV_BYTES, KvDtype
from marsbench.hardware.shape import ModelShape, Precision

KV_PREFIX = "kv-"
FEW_TOKENS = 1_024
GROUP = re.compile(r"(?P<gpu>.+)x(?P<tp>[0-9]+)")
DTYPES: tuple[KvDtype, ...] = get_args(KvDtype)


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; None is what the profile, the id or the model says itself."""

    model: str | None
    precision: str | None
    kv_dtype: str | None
    tp: int | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """A model as it is served: its weights and its KV, on the GPUs of one group.

    kv_dtype: None where KV is as the checkpoint has it.
    """

    model: str
    shape: ModelShape
    precision: str
    bytes_per: Precision
    kv_dtype: KvDtype | None
    gpus: int = 1

    @property
    def has_whole_experts(self) -> bool:
        """Whether a part of an expert would split blocks of a scale, which vLLM refuses to."""
        block = self.bytes_per.block
        return self.gpus > 1 and block > 0 and self.shape.expert_hidden // self.gpus % block != 0

    @property
    def cautions(self) -> tuple[str, ...]:
        """What whoever serves it so has to know."""
        told = (self._of_windows, self._of_whole_experts, self._of_latents)
        return tuple(caution for caution in told if caution is not None)

    @property
    def _of_windows(self) -> str | None:
        shape = self.shape
        held = shape.window * shape.windowed_layers // shape.full_layers
        if held <= FEW_TOKENS:
            return None
        return (
            f"The sliding windows of a running request take as much KV as {held:,} tokens of its "
            "context, which the count of KV tokens leaves out."
        )

    @property
    def _of_latents(self) -> str | None:
        if self.shape.latent is None:
            return None
        return (
            "Latent attention was compared with no measured steps; block-scaled kernels of small "
            "batches are known to take longer."
        )

    @property
    def _of_whole_experts(self) -> str | None:
        if not self.has_whole_experts:
            return None
        return (
            f"{self.gpus} GPUs do not split the experts of {self.model} in {self.precision}, "
            f"quantized in blocks of {self.bytes_per.block}: each GPU has whole ones, as vLLM with "
            "--enable-expert-parallel, and is taken to have its even share of the tokens."
        )


def served_model(model: str, shape: ModelShape, wish: Wish, gpus: int = 1) -> Served:
    """Raises UsageError for a precision that the model lacks, or heads that cannot be split."""
    precision = wish.precision or next(iter(shape.precisions))
    if precision not in shape.precisions:
        raise unknown_name(f"precision of {model}", precision, shape.precisions)
    bytes_per = shape.precisions[precision]
    kv_dtype = named_kv_dtype(wish.kv_dtype or "auto")
    _check_split(model, shape, gpus)
    kv_bytes = KV_BYTES.get(kv_dtype, bytes_per.kv_bytes)
    own = None if kv_bytes == bytes_per.kv_bytes else kv_dtype
    bytes_per = bytes_per.model_copy(update={"kv_bytes": kv_bytes})
    served = Served(model, shape, precision, bytes_per, own, gpus)
    if served.has_whole_experts and shape.experts % gpus:
        raise UsageError(
            f"{gpus} GPUs split neither the experts of {model} in {precision} nor their number, "
            f"{shape.experts}; give another precision or fewer GPUs."
        )
    return served


def _check_split(model: str, shape: ModelShape, gpus: int) -> None:
    """vLLM's rule: query heads are divided; KV heads are divided, or each is copied."""
    even = shape.kv_heads % gpus == 0 or gpus % shape.kv_heads == 0
    if shape.query_heads % gpus or not (even or shape.latent):
        raise UsageError(
            f"tensor_parallel = {gpus} does not split {model}, which has {shape.query_heads} query "
            f"heads and {shape.kv_heads} KV heads; give a power of two up to {shape.query_heads}."
        )


def dtype_name(kv_bytes: float) -> str:
    """ "bf16", "fp8", or the bytes of an element that a user's own shape gives."""
    names = (name for name, size in KV_BYTES.items() if size == kv_bytes)
    return next(names, f"{kv_bytes:g} B")


def named_kv_dtype(name: str) -> KvDtype:
    """The name itself. Raises UsageError for one that is none."""
    if name not in DTYPES:
        raise unknown_name("KV dtype", name, DTYPES)
    return name


def hardware_id(gpu: str, served: Served) -> str:
    """The name of that model on such GPUs; it says nothing of KV that is as the checkpoint's."""
    kv = [KV_PREFIX + served.kv_dtype] if served.kv_dtype else []
    return ":".join((group_name(gpu, served.gpus), served.model, served.precision, *kv))


def group_name(gpu: str, gpus: int) -> str:
    """ "h100", or "h100x4" for four that share a model."""
    return f"{gpu}x{gpus}" if gpus > 1 else gpu


def parse_id(text: str) -> tuple[str, Wish]:
    """The GPU of `GPU[xTP][:MODEL[:PRECISION[:kv-DTYPE]]]`, and what else that says.

    Raises UsageError for anything else.
    """
    gpu, *rest = text.split(":")
    kv = rest.pop() if rest and rest[-1].startswith(KV_PREFIX) else None
    if not gpu or len(rest) > 2 or not all(rest):
        raise UsageError(
            f"'{text}' is no hardware: give a GPU, or GPU:MODEL[:PRECISION[:kv-DTYPE]]; "
            "for example h100:qwen3-coder-30b:fp8:kv-fp8."
        )
    model, precision = (*rest, None, None)[:2]
    dtype = None if kv is None else named_kv_dtype(kv.removeprefix(KV_PREFIX))
    group = GROUP.fullmatch(gpu)
    if group is None:
        return gpu, Wish(model, precision, dtype)
    return group["gpu"], Wish(model, precision, dtype, int(group["tp"]))
