"""The names that results print for hardware, read back: "h100:qwen3-coder-30b:fp8:kv-fp8"."""

from __future__ import annotations

from typing import NamedTuple, get_args

from marsbench.core.hardware.schema import KvDtype
from marsbench.errors import UsageError, unknown_name

KV_PREFIX = "kv-"
DTYPES: tuple[KvDtype, ...] = get_args(KvDtype)


class Parts(NamedTuple):
    """What an id says; None where it leaves something out."""

    gpu: str
    model: str | None
    precision: str | None
    kv_dtype: KvDtype | None


def hardware_id(gpu: str, gpus: int, model: str, precision: str, kv_dtype: KvDtype | None) -> str:
    """The id; kv_dtype is None where KV is kept as the checkpoint has it."""
    group = f"{gpu}x{gpus}" if gpus > 1 else gpu
    return ":".join((group, model, precision, *([KV_PREFIX + kv_dtype] if kv_dtype else [])))


def parse_id(text: str) -> Parts:
    """The parts of `GPU[:MODEL[:PRECISION[:kv-DTYPE]]]`. Raises UsageError for anything else."""
    gpu, *rest = text.split(":")
    kv = rest.pop() if rest and rest[-1].startswith(KV_PREFIX) else None
    if not gpu or len(rest) > 2 or not all(rest):
        raise UsageError(
            f"'{text}' is no hardware: give a GPU, or GPU:MODEL[:PRECISION[:kv-DTYPE]]; "
            "for example h100:qwen3-coder-30b:fp8:kv-fp8."
        )
    model, precision = (*rest, None, None)[:2]
    return Parts(
        gpu, model, precision, None if kv is None else named_kv_dtype(kv[len(KV_PREFIX) :])
    )


def named_kv_dtype(name: str) -> KvDtype:
    """The name itself. Raises UsageError for one that is none."""
    if name not in DTYPES:
        raise unknown_name("KV dtype", name, DTYPES)
    return name
