"""Which models' KV is a count of layers and heads, by what their config.json says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FULL, SLIDING = "full_attention", "sliding_attention"
KNOWN = (
    *("llama", "mistral", "mixtral", "phi3", "granite", "olmo2", "seed_oss", "gemma3_text"),
    *("qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_vl_text", "qwen3_vl_moe_text"),
    *("deepseek_v2", "deepseek_v3", "kimi_k2", "glm4", "glm4_moe", "gpt_oss", "minimax_m2"),
)
"""Architectures whose layers are what is counted here, and nothing beside."""
NOT_COUNTED = {
    "index_topk": "attention to chosen tokens only (DeepSeek sparse attention)",
    "compress_ratios": "compressed KV",
    "attention_chunk_size": "attention in chunks",
    "num_kv_shared_layers": "layers that share KV",
    "global_head_dim": "heads of two sizes",
    "num_global_key_value_heads": "KV heads of two numbers",
    "swa_num_key_value_heads": "KV heads of two numbers",
    "hybrid_layer_pattern": "layers of several kinds",
    "block_configs": "layers of several sizes",
    "hybrid_override_pattern": "state space layers",
    "layers_block_type": "state space layers",
    "attn_layer_period": "state space layers",
    "ssm_state_size": "state space layers",
    "mamba_d_state": "state space layers",
    "conv_L_cache": "convolutions in place of attention",
    "linear_num_key_heads": "linear attention",
    "linear_attn_config": "linear attention",
    "cross_attention_layers": "cross attention",
    "is_encoder_decoder": "an encoder",
}
"""Keys that, where they are set, make KV or its cache other than a count of layers and heads.

vLLM keeps a state a request for linear attention and state space layers, and finds a cached
prefix only where such a state was kept (its MambaSpec): neither is simulated.
"""


def check_counted(config: Mapping[str, Any]) -> None:
    """Raises ValueError, which says what of it is not counted."""
    for key, what in NOT_COUNTED.items():
        if config.get(key):
            raise ValueError(f"has {key}: {what}, whose KV is not counted")
    for kind in config.get("layer_types") or ():
        if kind not in (FULL, SLIDING):
            raise ValueError(f"has layers of kind '{kind}', whose KV is not counted")
    if config["model_type"] not in KNOWN:
        known = ", ".join(sorted(KNOWN))
        raise ValueError(f"is of type '{config['model_type']}', and counted are {known}")
