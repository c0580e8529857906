"""What the hardware files hold: model shapes, GPUs, and a user's own profile. Checked here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, PositiveFloat, PositiveInt, Tag

from marsbench.hardware.units import Bytes, BytesPerS, FlopsPerS, Seconds, SecondsOrZero, Share
from marsbench.problems import Strict

Compute = Literal["bf16", "fp8"]
KvDtype = Literal["auto", "bf16", "fp8"]
KV_BYTES: dict[KvDtype, float] = {"bf16": 2.0, "fp8": 1.0}
"""Of one element of K or V; "auto" is the checkpoint's own: `Precision.kv_bytes`."""


class Precision(Strict):
    """Bytes per element of each kind of tensor, and the rate that the GEMMs run at.

    kv_bytes: what the checkpoint asks for. vLLM keeps KV in the model's own 16 bits unless the
        checkpoint's quantization config says otherwise, whatever its weights are.
    measured_kv_bytes: what KV took where the shipped step-time table was measured.
    """

    compute: Compute
    expert_bytes: PositiveFloat
    dense_bytes: PositiveFloat
    other_bytes: PositiveFloat
    kv_bytes: PositiveFloat = 2.0
    measured_kv_bytes: PositiveFloat = 2.0


class ModelShape(Strict):
    """A transformer with grouped-query attention and a mixture of experts.

    A dense model is one whose only expert every token uses: `experts` and `experts_per_token` are
    1, and `expert_hidden` is the width of its feed-forward layers.
    """

    source: str
    layers: PositiveInt
    hidden: PositiveInt
    query_heads: PositiveInt
    kv_heads: PositiveInt
    head_dim: PositiveInt
    experts: PositiveInt = 1
    experts_per_token: PositiveInt = 1
    expert_hidden: PositiveInt
    vocabulary: PositiveInt
    max_model_len: PositiveInt
    window: int = Field(default=0, ge=0)
    windowed_layers: int = Field(default=0, ge=0)
    precisions: dict[str, Precision]

    @property
    def full_layers(self) -> int:
        """Layers whose attention reaches back to the first token."""
        return self.layers - self.windowed_layers

    @property
    def expert_params(self) -> int:
        """Weights of all experts: gate, up and down projections."""
        return self.layers * self.experts * 3 * self.hidden * self.expert_hidden

    @property
    def attention_params(self) -> int:
        """Weights of the q, k, v and o projections."""
        heads = 2 * self.query_heads + 2 * self.kv_heads
        return self.layers * self.hidden * heads * self.head_dim

    @property
    def router_params(self) -> int:
        return self.layers * self.hidden * self.experts

    @property
    def head_params(self) -> int:
        return self.vocabulary * self.hidden

    def weight_bytes(self, precision: Precision) -> float:
        """Bytes of the weights; the input embedding is in the runtime's overhead."""
        return self.expert_params * precision.expert_bytes + self.dense_weight_bytes(precision)

    def dense_weight_bytes(self, precision: Precision) -> float:
        """Bytes of the weights that every step reads: attention, router and output head."""
        other = self.router_params + self.head_params
        return self.attention_params * precision.dense_bytes + other * precision.other_bytes

    def kv_heads_on(self, gpus: int) -> int:
        """KV heads that a tensor-parallel group keeps: with fewer heads than GPUs, copies."""
        return max(self.kv_heads, gpus)

    def kv_bytes_per_token(self, precision: Precision, gpus: int = 1) -> float:
        """Bytes of K and V that a long context adds per token, on all GPUs of a group together.

        Windowed layers stop growing, so they do not count.
        """
        return self._kv_bytes(self.full_layers, precision, gpus)

    def window_bytes(self, precision: Precision, gpus: int = 1) -> float:
        """Bytes of K and V that a request's windowed layers hold, whatever its length."""
        return self.window * self._kv_bytes(self.windowed_layers, precision, gpus)

    def _kv_bytes(self, layers: int, precision: Precision, gpus: int) -> float:
        return 2 * layers * self.kv_heads_on(gpus) * self.head_dim * precision.kv_bytes


class Roofline(Strict):
    """What a real engine reaches of the datasheet's rates, and what it adds to every step."""

    bandwidth_share: Share = 0.88
    gemm_share: Share = 0.49
    attention_share: Share = 0.66
    overhead: Seconds = 0.0026


class Gpu(Strict):
    """A GPU as its datasheet gives it.

    derived_from: the GPU whose measured tables are scaled by the ratio of bandwidths and rates.
    """

    name: str
    derived_from: str | None = None
    memory: Bytes
    bandwidth: BytesPerS
    compute: dict[Compute, FlopsPerS]
    host_link: BytesPerS
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
