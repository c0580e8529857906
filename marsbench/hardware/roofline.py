"""Step time from a datasheet: bytes over bandwidth and FLOPs over rate, nothing measured.

    step = overhead + weights + GEMMs + prefill attention + decode attention

    weights            (dense bytes + expert bytes x touched(n)) / bandwidth
    touched(n)         1 - (1 - k/E)^n: the share of experts that n tokens with k of E experts each
                       are expected to hit; an expert is read once a step, however many use it
    GEMMs              2 x active weights x n / GEMM rate
    prefill attention  4 x layers x heads x head_dim x chunk x (prefix + chunk/2) / attention rate
                       (latent attention: 2 x what its keys and values have together)
    decode attention   KV bytes of every token that the decodes read / bandwidth

and of several GPUs whose link is known, after attention, after the feed-forward of every layer, and
once for the embedding,

    all-reduces        (2 x layers + 1) x (fixed + n x 2 x (g - 1) / g x hidden x 2 B / link)

Weights and GEMMs are added rather than overlapped: an expert GEMM of a few dozen tokens does not
hide its weights' loading, and against measured tables (docs/hardware.md) the sum of both is off
by 8 %, their maximum by 35 % at 2,048 tokens.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

from marsbench.hardware.schema import Gpu, Roofline
from marsbench.hardware.shape import ModelShape, Precision
from marsbench_backends.exact import power

LAYER_OVERHEAD_S = 54e-6
"""Launches and small kernels of a layer."""
DENSE_SHARE = {"bf16": 0.7, "fp8": 0.55}
EXPERT_SHARE = {"bf16": 0.33, "fp8": 0.2}
"""Of the FLOP rate that GEMMs reach: a model's own, and those of a few of many experts."""
HIDDEN_BYTES = 2
"""Of an activation that GPUs send each other: bf16, whatever the weights are."""


@dataclass(frozen=True, slots=True)
class RooflineRest:
    """Everything but attention and the host, in seconds, of a step of n tokens."""

    dense_s: float
    experts_s: float
    missed: float
    token_s: float

    def seconds(self, num_tokens: int) -> float:
        if num_tokens == 0:
            return 0.0
        touched = 1.0 - power(self.missed, num_tokens)
        return self.dense_s + self.experts_s * touched + self.token_s * num_tokens

    def facts(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RooflinePrefill:
    """Attention of a chunk over itself and the prefix before it; pair_s is per pair of tokens."""

    pair_s: float
    once_s: ClassVar[float] = 0.0

    def seconds(self, chunk: int, prefix: int) -> float:
        return chunk * (prefix + chunk * 0.5) * self.pair_s

    def scaled(self, factor: float) -> RooflinePrefill:
        return RooflinePrefill(self.pair_s * factor)

    def facts(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RooflineDecode:
    """Attention of decodes: every KV token once, and each request's sliding windows."""

    kv_token_s: float
    request_s: float
    once_s: ClassVar[float] = 0.0

    def seconds(self, num_decodes: int, kv_tokens: int) -> float:
        return num_decodes * self.request_s + kv_tokens * self.kv_token_s

    def scaled(self, factor: float) -> RooflineDecode:
        return RooflineDecode(self.kv_token_s * factor, self.request_s * factor)

    def facts(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LinkedRest:
    """That of a group of GPUs, with what they send each other: all-reduces."""

    own: RooflineRest
    all_reduces_s: float
    sent_token_s: float

    def seconds(self, num_tokens: int) -> float:
        if num_tokens == 0:
            return 0.0
        sent = self.all_reduces_s + self.sent_token_s * num_tokens
        return self.own.seconds(num_tokens) + sent

    def facts(self) -> dict[str, object]:
        return asdict(self)


def shares_of(shape: ModelShape, precision: Precision) -> Roofline:
    """What kernels of such a shape reach; chosen so that the mean error against the shipped tables
    is small for dense models and mixtures alike (docs/models.md prints what is left).
    """
    routed = shape.expert_params * (shape.experts_per_token / shape.experts)
    share = DENSE_SHARE if shape.experts == 1 else EXPERT_SHARE
    others = shape.active_params - routed
    spent = routed / share[precision.compute] + others / DENSE_SHARE[precision.compute]
    overhead = shape.layers * LAYER_OVERHEAD_S
    update = {"gemm_share": shape.active_params / spent, "overhead": overhead}
    return Roofline().model_copy(update=update)


def rest(shape: ModelShape, precision: Precision, gpu: Gpu, gpus: int = 1) -> RooflineRest:
    """`gpu` is the whole group of `gpus` cards."""
    bandwidth = gpu.bandwidth * gpu.roofline.bandwidth_share
    gemm_rate = gpu.compute[precision.compute] * gpu.roofline.gemm_share
    window_pairs = 4 * shape.windowed_layers * shape.query_heads * shape.head_dim * shape.window
    return RooflineRest(
        dense_s=shape.dense_weight_bytes(precision, gpus) / bandwidth,
        experts_s=shape.expert_params * precision.expert_bytes / bandwidth,
        missed=1.0 - shape.experts_per_token / shape.experts,
        token_s=(2 * shape.active_params + window_pairs) / gemm_rate,
    )


def linked(own: RooflineRest, shape: ModelShape, gpu: Gpu, gpus: int) -> LinkedRest | None:
    """With the all-reduces of `gpus` such cards; None where their link is not known."""
    if gpu.link is None:
        return None
    all_reduces = 2 * shape.layers + 1
    sent = 2 * (gpus - 1) / gpus * HIDDEN_BYTES * shape.hidden
    return LinkedRest(
        own=own,
        all_reduces_s=all_reduces * gpu.roofline.all_reduce,
        sent_token_s=all_reduces * sent / (gpu.link * gpu.roofline.link_share),
    )


def prefill(shape: ModelShape, gpu: Gpu) -> RooflinePrefill:
    """Attention computes in bf16 whatever the weights' precision."""
    flops_per_pair = 2 * shape.full_layers * shape.query_heads * shape.pair_dims
    return RooflinePrefill(flops_per_pair / (gpu.compute["bf16"] * gpu.roofline.attention_share))


def decode(shape: ModelShape, precision: Precision, gpu: Gpu, gpus: int = 1) -> RooflineDecode:
    """`gpu` is the whole group of `gpus` cards; where KV heads are fewer, each reads a copy.

    So many heads share a latent vector that their FLOPs may take longer than to read it.
    """
    bandwidth = gpu.bandwidth * gpu.roofline.bandwidth_share
    read_s = shape.kv_bytes_per_token(precision, gpus) / bandwidth
    return RooflineDecode(
        kv_token_s=max(read_s, _absorbed_s(shape, gpu)),
        request_s=shape.window_bytes(precision, gpus) / bandwidth,
    )


def _absorbed_s(shape: ModelShape, gpu: Gpu) -> float:
    """FLOPs of latent attention for a KV token: each head's query over the vector itself."""
    if shape.latent is None:
        return 0.0
    per_head = 2 * (2 * shape.latent.rank + shape.latent.rope_dim)
    flops = shape.full_layers * shape.query_heads * per_head
    return flops / (gpu.compute["bf16"] * gpu.roofline.attention_share)
