"""Shapes read from a Hugging Face config.json: sizes, KV by its layout, and what is refused."""

from __future__ import annotations

import json

import pytest

from marsbench.errors import UsageError
from marsbench.hardware.catalog import load_models
from marsbench.hardware.hf_config import read_config
from marsbench.hardware.profile import load_hardware

LLAMA = {
    "model_type": "llama", "num_hidden_layers": 80, "hidden_size": 8192,
    "num_attention_heads": 64, "num_key_value_heads": 8, "intermediate_size": 28_672,
    "vocab_size": 128_256, "max_position_embeddings": 131_072,
}  # fmt: skip
GPT_OSS = {
    "model_type": "gpt_oss", "num_hidden_layers": 36, "hidden_size": 2880, "head_dim": 64,
    "num_attention_heads": 64, "num_key_value_heads": 8, "intermediate_size": 2880,
    "num_local_experts": 128, "num_experts_per_tok": 4, "experts_per_token": 4,
    "vocab_size": 201_088, "max_position_embeddings": 131_072, "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"] * 18,
    "quantization_config": {"quant_method": "mxfp4"},
}  # fmt: skip
DEEPSEEK = {
    "model_type": "deepseek_v3", "num_hidden_layers": 61, "hidden_size": 7168,
    "num_attention_heads": 128, "num_key_value_heads": 128, "intermediate_size": 18_432,
    "moe_intermediate_size": 2048, "n_routed_experts": 256, "num_experts_per_tok": 8,
    "n_shared_experts": 1, "first_k_dense_replace": 3, "kv_lora_rank": 512, "q_lora_rank": 1536,
    "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128, "vocab_size": 129_280,
    "max_position_embeddings": 163_840,
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def written(config):
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config))
        return path

    return written


@pytest.mark.parametrize(("config", "model"), [(LLAMA, "llama-3.3-70b"), (GPT_OSS, "gpt-oss-120b")])
def test_a_model_that_ships_has_the_shape_that_its_config_says(write, config, model):
    _, shape = read_config(write(config))
    differ = {"source", "precisions", "activation_bytes"}
    assert shape.model_dump(exclude=differ) == load_models()[model].model_dump(exclude=differ)


def test_latent_attention_keeps_one_vector_a_token_on_every_gpu(write):
    """61 layers x (512 + 64) x 2 B, whatever the heads; eight GPUs keep it eight times."""
    path = str(write(DEEPSEEK))
    eight = load_hardware(path, "b200", tp=8)
    assert eight.kv_bytes_per_token == 8 * 61 * 576 * 2
    _, shape = read_config(write(DEEPSEEK))
    assert shape.kv_bytes_per_token(shape.precisions["fp8"], 1) == 70_272


def test_deepseek_v3_has_the_size_that_its_paper_says(write):
    """671 billion weights, 37 of them active (arXiv 2412.19437); the embedding is not counted."""
    _, shape = read_config(write(DEEPSEEK))
    attention = 61 * (
        7168 * 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 * 128 * 256 + 128 * 128 * 7168
    )
    assert shape.attention_params == attention
    every = shape.expert_params + shape.shared_params + attention + shape.router_params
    assert every + 2 * shape.head_params == pytest.approx(671e9, rel=1e-3)
    assert shape.active_params + shape.head_params == pytest.approx(37e9, rel=0.02)


def test_sliding_layers_do_not_grow_and_a_wide_window_says_so(write):
    """Every sixth of 62 layers attends to all, as in gemma3 before layers were listed."""
    gemma = {
        **LLAMA, "model_type": "gemma3_text", "num_hidden_layers": 62, "head_dim": 128,
        "num_key_value_heads": 16, "sliding_window": 1024, "sliding_window_pattern": 6,
    }  # fmt: skip
    hardware = load_hardware(str(write(gemma)), "h200", tp=2)
    assert hardware.kv_bytes_per_token == 2 * 10 * 16 * 128 * 2
    # 1,024 tokens of 52 layers are as much as 5,324 tokens of the 10
    assert any("as 5,324 tokens" in caution for caution in hardware.cautions)


def test_a_window_that_is_switched_off_is_none(write):
    config = {**LLAMA, "model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": False}
    _, shape = read_config(write(config))
    assert (shape.window, shape.windowed_layers) == (0, 0)


@pytest.mark.parametrize(
    ("quantization", "precision", "weight", "block"),
    [
        (None, "bf16", 2, 0),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 1, 128),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "int4", 0.51953125, 0),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, "int8", 1, 0),
        (
            {"quant_method": "compressed-tensors",
             "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}}},
            "fp8", 1, 0,
        ),
    ],
)  # fmt: skip
def test_weights_take_the_bytes_of_the_quantization(write, quantization, precision, weight, block):
    _, shape = read_config(write({**LLAMA, "quantization_config": quantization}))
    name, found = next(iter(shape.precisions.items()))
    assert (name, found.expert_bytes, found.block) == (precision, weight, block)


def test_modelopts_file_beside_the_config_is_read_too(write, tmp_path):
    path = write(LLAMA)
    plain, _ = read_config(path)
    own = {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}
    (tmp_path / "hf_quant_config.json").write_text(json.dumps({"quantization": own}))
    name, shape = read_config(path)
    assert list(shape.precisions) == ["fp8"]
    assert shape.precisions["fp8"].kv_bytes == 1
    assert name != plain


def test_the_language_model_of_one_that_sees_is_read(write):
    seeing = {"model_type": "qwen3_vl", "text_config": {**LLAMA, "model_type": "qwen3_vl_text"}}
    name, shape = read_config(write(seeing))
    assert name.startswith("qwen3_vl_text@")
    assert shape.layers == 80


def test_a_model_is_named_by_its_file_and_not_by_where_it_lies(write, tmp_path):
    first = load_hardware(str(write(LLAMA)), "h200", tp=2)
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    (elsewhere / "config.json").write_text(json.dumps(LLAMA))
    again = load_hardware(str(elsewhere), "h200", tp=2)
    assert (first.id, first.hash) == (again.id, again.hash)
    assert first.id.startswith("h200x2:llama@")
    assert any("roofline" in caution for caution in first.cautions)


def test_a_folder_of_the_same_name_is_not_a_model_that_ships(tmp_path, monkeypatch):
    (tmp_path / "gpt-oss-120b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_hardware("gpt-oss-120b").id == "h200:gpt-oss-120b:mxfp4"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer_types": ["linear_attention"] * 80}, "kind 'linear_attention', whose KV is not"),
        ({"linear_num_key_heads": 16}, "has linear_num_key_heads: linear attention"),
        ({"index_topk": 2048}, "attention to chosen tokens only"),
        ({"hybrid_override_pattern": "M*"}, "state space layers"),
        ({"attention_chunk_size": 8192}, "attention in chunks"),
        ({"model_type": "llama9"}, "is of type 'llama9', and counted are .*qwen3_moe"),
        ({"sliding_window": 4096}, "does not say in which layers"),
        ({"layer_types": ["sliding_attention"] * 80}, "does not say their sliding_window"),
        (
            {"layer_types": ["sliding_attention"] * 80, "sliding_window": 128},
            "windows in every layer",
        ),
        ({"layer_types": ["full_attention"]}, "another number of layers"),
        ({"num_attention_heads": 63}, "heads do not divide hidden_size"),
        ({"num_experts": 8, "moe_intermediate_size": 64}, "does not say how many a token uses"),
        ({"kv_lora_rank": 512}, "but not qk_rope_head_dim"),
        ({"quantization_config": {"quant_method": "exl3"}}, "is quantized by 'exl3', and known"),
        ({"num_hidden_layers": "many"}, "num_hidden_layers: .*; give a model's config.json"),
        ({"quantization_config": [4]}, "quantization_config: expected object"),
    ],
)
def test_what_is_not_counted_is_refused_in_a_sentence(write, change, message):
    path = write({**LLAMA, **change})
    with pytest.raises(UsageError, match=message) as error:
        read_config(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_file_that_is_none_is_named(tmp_path):
    path = tmp_path / "config.json"
    with pytest.raises(UsageError, match=r"Cannot read the model .*config\.json"):
        load_hardware(str(path))
    path.write_text("[model]")
    with pytest.raises(UsageError, match=r"give a model's config\.json"):
        load_hardware(str(path))
    path.write_text("[]")
    with pytest.raises(UsageError, match=r"give a model's config\.json"):
        load_hardware(str(path))
