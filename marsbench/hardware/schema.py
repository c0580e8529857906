"""What the hardware files hold beside models: GPUs, and a user's own profile. Checked here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, PositiveFloat, PositiveInt, Tag

from marsbench.hardware.shape import Compute, ModelShape
from marsbench.hardware.units import Bytes, BytesPerS, FlopsPerS, Seconds, SecondsOrZero, Share
from marsbench.problems import Strict

KvDtype = Literal["auto", "bf16", "fp8"]
KV_BYTES: dict[KvDtype, float] = {"bf16": 2.0, "fp8": 1.0}
"""Of one element of K or V; "auto" is the checkpoint's own: `Precision.kv_bytes`."""


class Roofline(Strict):
    """What a real engine reaches of the datasheet's rates, and what it adds to every step.

    link_share, all_reduce: of the link between GPUs, and what an all-reduce takes beside bytes.
    """

    bandwidth_share: Share = 0.88
    gemm_share: Share = 0.49
    attention_share: Share = 0.66
    overhead: Seconds = 0.0026
    link_share: Share = 0.75
    all_reduce: Seconds = 7e-6


class Gpu(Strict):
    """A GPU as its datasheet gives it.

    derived_from: the GPU whose measured tables are scaled by the ratio of bandwidths and rates.
    link: to the other GPUs of its machine, one way; None where it is not known.
    """

    name: str
    derived_from: str | None = None
    memory: Bytes
    bandwidth: BytesPerS
    compute: dict[Compute, FlopsPerS]
    host_link: BytesPerS
    link: BytesPerS | None = None
    roofline: Roofline = Roofline()


class Fit(Strict):
    """A step as a sum of lines, fitted to measured steps.

    step = overhead + weights + experts x touched(n) + token x n + pair x chunk x (prefix + chunk/2)
           + request x decodes + kv_token x KV tokens of the decodes
    """

    overhead: SecondsOrZero = 0.0
    weights: SecondsOrZero = 0.0
    experts: SecondsOrZero = 0.0
    token: SecondsOrZero = 0.0
    pair: Seconds
    request: SecondsOrZero = 0.0
    kv_token: Seconds


class MeasuredStep(Strict):
    """One measured step: what was in it, how long it took, and what the fit makes of it."""

    decodes: int = Field(ge=0)
    kv: int = Field(ge=0)
    chunk: int = Field(ge=0)
    prefix: int = Field(ge=0)
    s: PositiveFloat
    residual: float


MODEL_TAGS = ("model by name", "model by shape")


def _name_or_shape(given: object) -> str | None:
    by_name, by_shape = MODEL_TAGS
    if isinstance(given, str):
        return by_name
    return by_shape if isinstance(given, dict | ModelShape) else None


Model = Annotated[
    Annotated[str, Tag(MODEL_TAGS[0])] | Annotated[ModelShape, Tag(MODEL_TAGS[1])],
    Discriminator(
        _name_or_shape,
        custom_error_type="model",
        custom_error_message="give a model's name in quotes, or a [model] table with its shape",
    ),
]
"""A model by name or by shape, told apart first, so that a mistake is named by its own field."""


class ProfileFile(Strict):
    """A user's own hardware: a GPU, the model on it by name or by shape, and measurements if any.

    fit: decides the step time; without it the GPU's datasheet does.
    points: what the fit was made from; kept so that others can judge it.
    """

    gpu: Gpu
    id: str | None = None
    model: Model | None = None
    precision: str | None = None
    kv_dtype: KvDtype = "auto"
    tensor_parallel: PositiveInt = 1
    fit: Fit | None = None
    points: list[MeasuredStep] = Field(default_factory=list)
    note: str | None = None
    caution: str | None = None
