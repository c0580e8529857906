"""A model as it is served: which weights, which KV, split over how many GPUs."""

from __future__ import annotations

from dataclasses import dataclass

from marsbench.core.hardware.ids import named_kv_dtype
from marsbench.core.hardware.schema import KV_BYTES, KvDtype, ModelShape, Precision
from marsbench.errors import UsageError, unknown_name


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
