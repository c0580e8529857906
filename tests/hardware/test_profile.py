"""Hardware by name and from a user's file: capacity, swap, identity, and what is refused."""

import pickle

import pytest

from marsbench.errors import UsageError
from marsbench.hardware.catalog import load_models
from marsbench.hardware.profile import load_hardware
from marsbench.hardware.shape import ModelShape

CAPACITY = {
    ("qwen3-coder-30b", "h100", "bf16"): 118_341,
    ("qwen3-coder-30b", "h200", "bf16"): 717_995,
    ("qwen3-coder-30b", "h100", "fp8"): 844_938,
    ("qwen3-coder-30b", "h200", "fp8"): 2_044_247,
}


@pytest.mark.parametrize(("name", "tokens"), CAPACITY.items())
def test_kv_capacity_is_what_aiconfigurator_gives_to_the_token(name, tokens):
    assert load_hardware(*name, kv_dtype=name[-1]).kv_tokens() == tokens


@pytest.mark.parametrize("kv_dtype", [None, "auto", "bf16"])
def test_fp8_weights_keep_their_kv_in_bf16_unless_asked_as_vllm_does(kv_dtype):
    hardware = load_hardware(gpu="h100", precision="fp8", kv_dtype=kv_dtype)
    assert (hardware.kv_dtype, hardware.kv_tokens()) == ("bf16", 844_938 // 2)
    assert hardware.id == "h100:qwen3-coder-30b:fp8"


def test_attention_takes_the_time_of_the_kv_that_is_served_whatever_the_weights_are():
    weights = load_hardware(precision="fp8").step_time.curves
    kv = load_hardware(precision="bf16").step_time.curves
    assert weights.decode.seconds(8, 10**6) == kv.decode.seconds(8, 10**6)
    assert weights.prefill.seconds(2048, 65_536) == kv.prefill.seconds(2048, 65_536)
    assert weights.rest.seconds(1) < kv.rest.seconds(1)


def test_kv_that_was_measured_at_no_precision_is_scaled_by_its_bytes_and_says_so():
    wide = load_hardware("gpt-oss-120b")
    narrow = load_hardware("gpt-oss-120b", kv_dtype="fp8")
    assert narrow.id == "h200:gpt-oss-120b:mxfp4:kv-fp8"
    ratio = narrow.step_time.seconds(32, 4 * 10**6) / wide.step_time.seconds(32, 4 * 10**6)
    assert 0.5 < ratio < 0.65
    assert any("was not measured" in caution for caution in narrow.cautions)


@pytest.mark.parametrize("asked", ["h200", "h100:qwen3-coder-30b:fp8", "h100-nvl:gpt-oss-120b"])
@pytest.mark.parametrize("kv_dtype", [None, "fp8"])
def test_an_id_that_was_printed_is_hardware_again(asked, kv_dtype):
    hardware = load_hardware(gpu=asked, kv_dtype=kv_dtype)
    again = load_hardware(gpu=hardware.id)
    assert (again.id, again.hash) == (hardware.id, hardware.hash)


def test_an_id_and_an_option_that_contradict_each_other_are_refused():
    with pytest.raises(UsageError, match="says fp8 and --precision bf16; leave one of them out"):
        load_hardware(gpu="h100:qwen3-coder-30b:fp8", precision="bf16")
    with pytest.raises(UsageError, match=r"'h100:' is no hardware.*for example"):
        load_hardware(gpu="h100:")


def test_the_default_is_one_h200_in_bf16():
    hardware = load_hardware()
    assert hardware.id == "h200:qwen3-coder-30b:bf16"
    assert hardware.max_model_len == 262_144
    assert hardware.kv_blocks(16) == 717_995 // 16


def test_a_token_of_qwen3_coder_holds_98304_bytes_of_kv():
    # 2 (K and V) x 48 layers x 4 heads x 128 x 2 bytes
    assert load_hardware().kv_bytes_per_token == 98_304


def test_sliding_window_layers_of_gpt_oss_hold_no_kv_that_grows():
    # 2 x 18 full layers x 8 heads x 64 x 2 bytes
    assert load_hardware("gpt-oss-120b").kv_bytes_per_token == 36_864


def test_mxfp4_weights_include_their_block_scales():
    """aiconfigurator counts 4 bits a weight, without scales, and so finds room for 315,849."""
    shape = load_models()["gpt-oss-120b"]
    scales = shape.expert_params * 0.25 / 8
    hardware = load_hardware("gpt-oss-120b", "h100")
    assert hardware.kv_tokens() == pytest.approx(315_849 - scales / 36_864, rel=0.01)


def test_the_shape_of_qwen3_coder_has_its_published_size():
    shape = load_models()["qwen3-coder-30b"]
    layers = shape.expert_params + shape.attention_params + shape.router_params
    assert layers + 2 * shape.head_params == pytest.approx(30.5e9, rel=0.002)


def test_less_memory_holds_less_kv():
    hardware = load_hardware()
    assert hardware.kv_tokens(0.5) < hardware.kv_tokens(0.9)
    assert hardware.kv_tokens(0.2) == 0
    with pytest.raises(UsageError, match="memory fraction"):
        hardware.kv_tokens(1.5)


def test_a_swap_goes_over_the_host_link():
    # 98,304 B a token at 0.8 of 64 GB/s
    assert load_hardware().swap_s(100_000) == pytest.approx(98_304e5 / 51.2e9)


def test_hashes_tell_numbers_apart_and_nothing_else():
    hardware = load_hardware()
    assert hardware.hash == load_hardware().hash
    assert hardware.hash == pickle.loads(pickle.dumps(hardware)).hash
    assert hardware.hash != load_hardware(gpu="h100").hash
    assert hardware.hash != hardware.with_scale(attention=1.2).hash
    assert hardware.id == hardware.with_scale(attention=1.2).id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("qwen3-coder-3b", "h200"), "Did you mean 'qwen3-coder-30b'"),
        (("qwen3-coder-30b", "h20"), "Unknown GPU 'h20'.*docs/hardware.md"),
        (("gpt-oss-120b", "h100", "bf16"), "Unknown precision of gpt-oss-120b 'bf16'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(arguments, message):
    with pytest.raises(UsageError, match=message):
        load_hardware(*arguments)


DATASHEET = """
model = "qwen3-coder-30b"
precision = "fp8"
[gpu]
name = "A card"
memory = "96 GiB"
bandwidth = "4 TB/s"
compute.bf16 = "500 TFLOPS"
compute.fp8 = "1 PFLOPS"
host_link = "64 GB/s"
"""


def write(tmp_path, text):
    path = tmp_path / "card.toml"
    path.write_text(text)
    return path


def test_a_person_writes_a_profile_from_a_datasheet(tmp_path):
    hardware = load_hardware(profile=write(tmp_path, DATASHEET))
    assert hardware.id == "card:qwen3-coder-30b:fp8"
    # (0.9 x 96 GiB - 30,544,494,592 - 1,476,395,008 - 3.5 GiB) / 98,304
    assert hardware.kv_tokens() == 1_159_511 // 2
    assert any("datasheet" in caution for caution in hardware.cautions)


def test_two_gpus_hold_more_and_read_faster(tmp_path):
    one = load_hardware(profile=write(tmp_path, DATASHEET))
    two = load_hardware(profile=write(tmp_path, "tensor_parallel = 2\n" + DATASHEET))
    assert two.id == "cardx2:qwen3-coder-30b:fp8"
    assert two.kv_tokens() > 2 * one.kv_tokens()
    assert two.step_time.seconds(8, 1_000_000) < one.step_time.seconds(8, 1_000_000)


def test_more_gpus_than_kv_heads_keep_copies_of_them_and_a_caution(tmp_path):
    """vLLM copies KV heads where there are fewer than GPUs: eight hold twice as much as four."""
    four, eight = (
        load_hardware(profile=write(tmp_path, f"tensor_parallel = {gpus}\n" + DATASHEET))
        for gpus in (4, 8)
    )
    assert four.kv_bytes_per_token == 98_304
    assert eight.kv_bytes_per_token == 2 * 98_304
    per_token = [h.step_time.curves.decode.seconds(0, 10**6) for h in (four, eight)]
    assert per_token[0] == pytest.approx(per_token[1])
    assert any("send each other" in caution for caution in four.cautions)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("precision", "tensor_parallel = 3\nprecision", "= 3 does not split .* 4 KV heads"),
        ('"A card"', "3", "gpu.name: expected string, got 3"),
        ('"4 TB/s"', '"-4 TB/s"', "gpu.bandwidth: .* must be greater than 0"),
        ('"4 TB/s"', '"4 furlongs"', "gpu.bandwidth: .*not a number of bytes/s.*TB/s"),
        ('"4 TB/s"', "4", "gpu.bandwidth: 4 is not a number of bytes/s with a unit"),
        ('"96 GiB"', '"24 GiB"', "holds 0 tokens of KV, less than any request needs"),
        ("bandwidth", "band_width", "gpu.bandwidth: is missing"),
        ("host_link", "colour = 1\nhost_link", "gpu.colour: no such field"),
        ('"qwen3-coder-30b"', "30", "model: give a model's name in quotes, or a .model. table"),
        ('model = "qwen3-coder-30b"', "model.layers = 48", "model.source: is missing"),
        ('precision = "fp8"', 'kv_dtype = "fp4"', "kv_dtype: .*'auto', 'bf16' or 'fp8'"),
        ('compute.fp8 = "1 PFLOPS"', "", "Unknown compute rate of A card 'fp8'"),
        ('"qwen3-coder-30b"', '"qwen4"', "Unknown model 'qwen4'"),
        ("[gpu]", "[gpu", "is not TOML"),
    ],
)
def test_a_wrong_profile_says_where_and_why(tmp_path, old, new, message):
    with pytest.raises(UsageError, match=message):
        load_hardware(profile=write(tmp_path, DATASHEET.replace(old, new)))


def test_a_missing_profile_or_a_directory_is_named(tmp_path):
    with pytest.raises(UsageError, match="Cannot read the profile"):
        load_hardware(profile=tmp_path / "none.toml")
    with pytest.raises(UsageError, match="Cannot read the profile"):
        load_hardware(profile=tmp_path)


def test_every_model_that_ships_has_the_windowed_layers_it_says():
    for shape in load_models().values():
        assert isinstance(shape, ModelShape)
        assert shape.full_layers > 0
        assert (shape.window > 0) == (shape.windowed_layers > 0)
