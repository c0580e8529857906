"""Step time from a datasheet: bytes over bandwidth and FLOPs over rate, nothing measured.

    step = overhead + weights + GEMMs + prefill attention + decode attention

    weights            (dense bytes + expert bytes x touched(n)) / bandwidth
    touched(n)         1 - (1 - k/E)^n: the share of experts that n tokens with k of E experts each
                       are expected to hit; an expert is read once a step, however many use it
    GEMMs              2 x active weights x n / GEMM rate
    prefill attention  4 x layers x heads x head_dim x chunk x (prefix + chunk/2) / attention rate
    decode attention   KV bytes of every token that the decodes read / bandwidth

Weights and GEMMs are added rather than overlapped: an expert GEMM of a few dozen tokens does not
hide its weights' loading, and against measured tables (docs/hardware.md) the sum of both is off
by 8 %, their maximum by 35 % at 2,048 tokens.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

from marsbench.hardware.schema import Gpu, ModelShape, Precision
from marsbench_backends.exact import power


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


def rest(shape: ModelShape, precision: Precision, gpu: Gpu) -> RooflineRest:
    bandwidth = gpu.bandwidth * gpu.roofline.bandwidth_share
    gemm_rate = gpu.compute[precision.compute] * gpu.roofline.gemm_share
    active = shape.experts_per_token / shape.experts
    params = shape.attention_params + shape.router_params + shape.expert_params * active
    window_pairs = 4 * shape.windowed_layers * shape.query_heads * shape.head_dim * shape.window
    return RooflineRest(
        dense_s=shape.dense_weight_bytes(precision) / bandwidth,
        experts_s=shape.expert_params * precision.expert_bytes / bandwidth,
        missed=1.0 - active,
        token_s=(2 * params + window_pairs) / gemm_rate,
    )


def prefill(shape: ModelShape, gpu: Gpu) -> RooflinePrefill:
    """Attention computes in bf16 whatever the weights' precision."""
    flops_per_pair = 4 * shape.full_layers * shape.query_heads * shape.head_dim
    return RooflinePrefill(flops_per_pair / (gpu.compute["bf16"] * gpu.roofline.attention_share))


def decode(shape: ModelShape, precision: Precision, gpu: Gpu, gpus: int = 1) -> RooflineDecode:
    """`gpu` is the whole group of `gpus` cards; where KV heads are fewer, each reads a copy."""
    bandwidth = gpu.bandwidth * gpu.roofline.bandwidth_share
    return RooflineDecode(
        kv_token_s=shape.kv_bytes_per_token(precision, gpus) / bandwidth,
        request_s=shape.window_bytes(precision, gpus) / bandwidth,
    )
