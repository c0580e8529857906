"""A model as it is served: which weights, which KV, split over how many GPUs; and its name.

Results print that name, and it can be read back: "h100:qwen3-coder-30b:fp8:kv-fp8".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from marsbench.errors import UsageError, unknown_name
from marsbench.hardware.schema import KV_BYTES, KvDtype, ModelShape, Precision

KV_PREFIX = "kv-"
DTYPES: tuple[KvDtype, ...] = get_args(KvDtype)


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; None is what the profile, the id or the model says itself."""

    model: str | None
    precision: str | None
    kv_dtype: str | None


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
    return Served(model, shape, precision, bytes_per, own, gpus)


def _check_split(model: str, shape: ModelShape, gpus: int) -> None:
    """vLLM's rule: query heads are divided; KV heads are divided, or each is copied."""
    even = shape.kv_heads % gpus == 0 or gpus % shape.kv_heads == 0
    if shape.query_heads % gpus or not even:
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
    group = f"{gpu}x{served.gpus}" if served.gpus > 1 else gpu
    kv = [KV_PREFIX + served.kv_dtype] if served.kv_dtype else []
    return ":".join((group, served.model, served.precision, *kv))


def parse_id(text: str) -> tuple[str, Wish]:
    """The GPU of `GPU[:MODEL[:PRECISION[:kv-DTYPE]]]`, and what else that says.

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
    return gpu, Wish(
        model, precision, None if kv is None else named_kv_dtype(kv.removeprefix(KV_PREFIX))
    )
