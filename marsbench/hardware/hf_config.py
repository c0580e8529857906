"""A model's shape from the `config.json` that Hugging Face keeps beside its weights.

What the file does not say is not guessed: a layout of KV that is not counted here is refused.
Vision towers, biases, norms and heads that draft tokens are left out of the weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from marsbench.errors import UsageError
from marsbench.hardware.counted import SLIDING, check_counted
from marsbench.hardware.quantized import Quantization, precisions
from marsbench.hardware.shape import Latent, ModelShape
from marsbench.problems import first_problem, json_problem

QUANTIZED = "hf_quant_config.json"
ACTIVATIONS, LATENT_ACTIVATIONS = 40, 84
"""Bytes of a token while it is computed, by the hidden size."""
LEAST_ACTIVATION_BYTES = 180_224


class HfConfig(BaseModel):
    """What is read of it; several names are one thing under other architectures."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    model_type: str
    num_hidden_layers: PositiveInt
    hidden_size: PositiveInt
    num_attention_heads: PositiveInt
    num_key_value_heads: PositiveInt | None = None
    head_dim: PositiveInt | None = None
    vocab_size: PositiveInt
    max_position_embeddings: PositiveInt
    intermediate_size: PositiveInt | None = None
    moe_intermediate_size: PositiveInt | None = None
    experts: int | None = Field(
        None, validation_alias=AliasChoices("num_experts", "num_local_experts", "n_routed_experts")
    )
    experts_per_token: int | None = Field(
        None,
        validation_alias=AliasChoices("num_experts_per_tok", "experts_per_token", "top_k_experts"),
    )
    n_shared_experts: int | None = None
    shared_width: int | None = Field(
        None,
        validation_alias=AliasChoices(
            "shared_expert_intermediate_size", "shared_intermediate_size"
        ),
    )
    first_k_dense_replace: int | None = None
    decoder_sparse_step: PositiveInt = 1
    mlp_only_layers: list[int] | None = None
    sliding_window: int | None = None
    use_sliding_window: bool | None = None
    sliding_window_pattern: PositiveInt | None = None
    layer_types: list[str] | None = None
    kv_lora_rank: PositiveInt | None = None
    q_lora_rank: PositiveInt | None = None
    qk_rope_head_dim: PositiveInt | None = None
    qk_nope_head_dim: PositiveInt | None = None
    v_head_dim: PositiveInt | None = None
    quantization_config: Quantization | None = None

    @property
    def width(self) -> int:
        """Of a head. Raises ValueError where heads do not divide the hidden size."""
        if self.head_dim is not None:
            return self.head_dim
        width, left = divmod(self.hidden_size, self.num_attention_heads)
        if left:
            raise ValueError("says no head_dim, and its heads do not divide hidden_size")
        return width


def read_config(path: Path) -> tuple[str, ModelShape]:
    """The model's name in results (its type and a hash of the file) and its shape.

    ModelOpt says in a file beside it how the weights are quantized.
    Raises UsageError for a file that is none, and for what is not counted.
    """
    given, read = _read(path)
    beside = path.with_name(QUANTIZED)
    if path.name == "config.json" and beside.is_file() and isinstance(given, dict):
        quantized, more = _read(beside)
        own = quantized.get("quantization") if isinstance(quantized, Mapping) else None
        given = {**given, "quantization_config": {"quant_method": "modelopt", **(own or {})}}
        read += more
    try:
        config = HfConfig.model_validate(_of_text(given))
        shape = _shape(config)
    except ValidationError as error:
        raise UsageError(
            f"{path}: {first_problem(error)}; give a model's config.json, as Hugging Face has it."
        ) from error
    except ValueError as error:
        raise UsageError(f"{path} {error}; docs/models.md says what can be counted.") from error
    return f"{config.model_type}@{hashlib.sha256(read).hexdigest()[:8]}", shape


def _read(path: Path) -> tuple[Any, bytes]:
    try:
        data = path.read_bytes()
        return json.loads(data), data
    except OSError as error:
        raise UsageError(f"Cannot read the model {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} {json_problem(error)}; give a model's config.json.") from error


def _of_text(given: object) -> object:
    """The part about the language model, of one that sees or hears too."""
    if not isinstance(given, Mapping) or not isinstance(given.get("text_config"), Mapping):
        return given
    shared = {"quantization_config": given.get("quantization_config")}
    return {**shared, **given["text_config"]}


def _shape(config: HfConfig) -> ModelShape:
    check_counted({**config.model_dump(), **(config.model_extra or {})})
    layers, experts = config.num_hidden_layers, config.experts or 1
    latent, windowed = _latent(config), _windowed_layers(config)
    if windowed == layers:
        raise ValueError("has sliding windows in every layer, so that its KV does not grow")
    dense = _dense_layers(config) if experts > 1 else 0
    expert_hidden = config.moe_intermediate_size if experts > 1 else None
    return ModelShape(
        source=f"a config.json of type {config.model_type}",
        layers=layers,
        hidden=config.hidden_size,
        query_heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads or config.num_attention_heads,
        head_dim=config.width if latent is None else latent.nope_dim,
        experts=experts,
        experts_per_token=_per_token(config, experts),
        expert_hidden=expert_hidden or _feed_forward(config),
        dense_layers=dense,
        dense_hidden=_feed_forward(config) if dense else 0,
        shared_hidden=_shared(config) if experts > 1 else 0,
        vocabulary=config.vocab_size,
        max_model_len=config.max_position_embeddings,
        window=config.sliding_window or 0 if windowed else 0,
        windowed_layers=windowed,
        latent=latent,
        activation_bytes=_activation_bytes(config),
        precisions=precisions(config.quantization_config),
    )


def _activation_bytes(config: HfConfig) -> int:
    """As aiconfigurator-core 0.12.0 has it for groups of GPUs; never less than for 30B."""
    times = LATENT_ACTIVATIONS if config.kv_lora_rank else ACTIVATIONS
    return max(LEAST_ACTIVATION_BYTES, times * config.hidden_size)


def _latent(config: HfConfig) -> Latent | None:
    if config.kv_lora_rank is None:
        return None
    rope, nope, value = config.qk_rope_head_dim, config.qk_nope_head_dim, config.v_head_dim
    if rope is None or nope is None or value is None:
        raise ValueError(
            "says kv_lora_rank, but not qk_rope_head_dim, qk_nope_head_dim, v_head_dim"
        )
    return Latent(
        rank=config.kv_lora_rank,
        query_rank=config.q_lora_rank or 0,
        rope_dim=rope,
        nope_dim=nope,
        value_dim=value,
    )


def _windowed_layers(config: HfConfig) -> int:
    """Layers that slide, as the file lists them or as their period says."""
    if config.layer_types is not None:
        if len(config.layer_types) != config.num_hidden_layers:
            raise ValueError("lists layer_types for another number of layers than it has")
        windowed = config.layer_types.count(SLIDING)
        if windowed and not config.sliding_window:
            raise ValueError("lists layers that slide and does not say their sliding_window")
        return windowed
    if not config.sliding_window or config.use_sliding_window is False:
        return 0
    if config.sliding_window_pattern is None:
        raise ValueError("has a sliding_window and does not say in which layers (layer_types)")
    return config.num_hidden_layers - config.num_hidden_layers // config.sliding_window_pattern


def _per_token(config: HfConfig, experts: int) -> int:
    if experts == 1:
        return 1
    if not 1 <= (config.experts_per_token or 0) <= experts:
        raise ValueError(f"has {experts} experts and does not say how many a token uses")
    return config.experts_per_token or 1


def _feed_forward(config: HfConfig) -> int:
    if config.intermediate_size is None:
        raise ValueError("does not say intermediate_size, the width of its feed-forward layers")
    return config.intermediate_size


def _dense_layers(config: HfConfig) -> int:
    """Layers without experts: the first ones, those listed, or all but every so many."""
    only = set(config.mlp_only_layers or ()) | set(range(config.first_k_dense_replace or 0))
    step = config.decoder_sparse_step
    return sum(i in only or (i + 1) % step != 0 for i in range(config.num_hidden_layers))


def _shared(config: HfConfig) -> int:
    """Width of what every token uses beside its experts, all such experts together."""
    return config.shared_width or (config.n_shared_experts or 0) * (
        config.moe_intermediate_size or 0
    )
