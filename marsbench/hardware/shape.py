"""What a model is: its layers, weights and KV, from the config.json that came with its weights."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from marsbench.problems import Strict

Compute = Literal["bf16", "fp8"]


class Precision(Strict):
    """Bytes per element of each kind of tensor, and the rate that the GEMMs run at.

    kv_bytes: what the checkpoint asks for. vLLM keeps KV in the model's own 16 bits unless the
        checkpoint's quantization config says otherwise, whatever its weights are.
    measured_kv_bytes: what KV took where the shipped step-time table was measured.
    block: weights that share a scale, along a side; vLLM splits no block of an expert. 0: any
        width can be split.
    """

    compute: Compute
    expert_bytes: PositiveFloat
    dense_bytes: PositiveFloat
    other_bytes: PositiveFloat
    kv_bytes: PositiveFloat = 2.0
    measured_kv_bytes: PositiveFloat = 2.0
    block: int = Field(default=0, ge=0)


class Latent(Strict):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): a layer keeps one vector a
    token, which every head shares.

    rank, query_rank: of the compressed KV and query; query_rank 0 is a query that is not.
    rope_dim: of the key that carries positions, kept beside the compressed KV.
    nope_dim, value_dim: of a head's key without positions, and of its value.
    """

    rank: PositiveInt
    rope_dim: PositiveInt
    nope_dim: PositiveInt
    value_dim: PositiveInt
    query_rank: int = Field(default=0, ge=0)

    def layer_params(self, hidden: int, heads: int) -> int:
        """Weights of a layer: q (both halves), kv_a, kv_b and o."""
        query = heads * (self.nope_dim + self.rope_dim)
        rank = self.query_rank
        of_query = hidden * rank + rank * query if rank else hidden * query
        down = hidden * (self.rank + self.rope_dim)
        up = self.rank * heads * (self.nope_dim + self.value_dim)
        return of_query + down + up + heads * self.value_dim * hidden


class ModelShape(Strict):
    """A transformer with grouped-query or latent attention and a mixture of experts.

    A dense model is one whose only expert every token uses: `experts` and `experts_per_token` are
    1, and `expert_hidden` is the width of its feed-forward layers.

    dense_layers, dense_hidden: those without experts, and the width of their feed-forward.
    shared_hidden: of the experts that every token uses beside those it is routed to.
    activation_bytes: of a token of a step, while it is computed.
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
    dense_layers: int = Field(default=0, ge=0)
    dense_hidden: int = Field(default=0, ge=0)
    shared_hidden: int = Field(default=0, ge=0)
    vocabulary: PositiveInt
    max_model_len: PositiveInt
    window: int = Field(default=0, ge=0)
    windowed_layers: int = Field(default=0, ge=0)
    latent: Latent | None = None
    activation_bytes: PositiveInt = 180_224
    precisions: dict[str, Precision]

    @property
    def full_layers(self) -> int:
        """Layers whose attention reaches back to the first token."""
        return self.layers - self.windowed_layers

    @property
    def expert_layers(self) -> int:
        return self.layers - self.dense_layers

    @property
    def expert_params(self) -> int:
        """Weights of all experts that tokens are routed to: gate, up and down projections."""
        return self.expert_layers * self.experts * 3 * self.hidden * self.expert_hidden

    @property
    def shared_params(self) -> int:
        """Weights of feed-forward layers that every token uses, beside the experts."""
        widths = self.dense_layers * self.dense_hidden + self.expert_layers * self.shared_hidden
        return 3 * self.hidden * widths

    @property
    def attention_params(self) -> int:
        """Weights of the attention's projections."""
        return self.attention_params_on(1)

    def attention_params_on(self, gpus: int) -> int:
        """Those of all GPUs of a group: copied KV heads have copied projections."""
        if self.latent is not None:
            return self.layers * self.latent.layer_params(self.hidden, self.query_heads)
        heads = 2 * self.query_heads + 2 * self.kv_heads_on(gpus)
        return self.layers * self.hidden * heads * self.head_dim

    @property
    def router_params(self) -> int:
        return self.expert_layers * self.hidden * self.experts

    @property
    def head_params(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def active_params(self) -> float:
        """Weights that a token is multiplied with, the output head apart."""
        routed = self.expert_params * (self.experts_per_token / self.experts)
        return self.attention_params + self.router_params + self.shared_params + routed

    @property
    def pair_dims(self) -> int:
        """Dimensions of a head that a prefill multiplies for a pair of tokens: key and value."""
        if self.latent is None:
            return 2 * self.head_dim
        return self.latent.nope_dim + self.latent.rope_dim + self.latent.value_dim

    def weight_bytes(self, precision: Precision, gpus: int = 1) -> float:
        """Bytes of the weights of a group; the input embedding is in the runtime's overhead."""
        routed = self.expert_params * precision.expert_bytes
        return routed + self.dense_weight_bytes(precision, gpus)

    def dense_weight_bytes(self, precision: Precision, gpus: int = 1) -> float:
        """Bytes of the weights that every step reads: all but the experts that are routed to.

        Every GPU of a group has the router whole.
        """
        dense = self.attention_params_on(gpus) + self.shared_params
        other = self.router_params * gpus + self.head_params
        return dense * precision.dense_bytes + other * precision.other_bytes

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
        if self.latent is not None:
            # Heads share the vector, so a group of GPUs keeps it as often as it has GPUs.
            return layers * (self.latent.rank + self.latent.rope_dim) * gpus * precision.kv_bytes
        return 2 * layers * self.kv_heads_on(gpus) * self.head_dim * precision.kv_bytes
