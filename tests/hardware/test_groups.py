"""A model on several GPUs: what they hold, what a step takes, what is refused."""

from __future__ import annotations

import pytest

from marsbench.errors import UsageError
from marsbench.hardware.catalog import load_gpus, load_models
from marsbench.hardware.curves import from_shape
from marsbench.hardware.memory import DoesNotFitError
from marsbench.hardware.profile import load_hardware
from marsbench.hardware.served import Wish, served_model
from marsbench.hardware.tables import load_table

GIB = 2**30


@pytest.mark.parametrize(
    ("name", "tokens"),
    [("h200x8:qwen3-235b:bf16", 1_494_848), ("h200x8:qwen3-coder-480b:bf16", 320_174)],
)
def test_kv_capacity_of_a_group_is_what_aiconfigurator_gives_to_the_token(name, tokens):
    assert load_hardware(gpu=name).kv_tokens() == tokens


def test_four_gpus_hold_a_70b_as_counted_by_hand():
    """80 layers of 8,192: 144 heads of 128 in q, k, v and o; 3 x 28,672 in the feed-forward.

    The one expert of a dense model has a router of 8,192 weights a layer, whole on each GPU.
    """
    layer = 8192 * 144 * 128 + 3 * 8192 * 28_672 + 4 * 8192
    weights = 2 * (80 * layer + 128_256 * 8192)
    rest = 4 * (180_224 * 8192 + 3.5 * GIB + 392 * 2**20)
    hardware = load_hardware("llama-3.3-70b", "h100", tp=4)
    per_token = 2 * 80 * 8 * 128 * 2
    assert hardware.kv_bytes_per_token == per_token == 327_680
    assert hardware.kv_tokens() == (0.9 * 4 * 80 * GIB - weights - rest) // per_token == 450_582


def test_fewer_kv_heads_than_gpus_are_copied_and_so_are_their_weights():
    """Qwen3-235B has four: eight GPUs keep each token twice, and k and v projections as well."""
    shape = load_models()["qwen3-235b"]
    bf16 = shape.precisions["bf16"]
    four, eight = (shape.kv_bytes_per_token(bf16, gpus) for gpus in (4, 8))
    assert (four, eight) == (2 * 94 * 4 * 128 * 2, 2 * 94 * 8 * 128 * 2)
    copies = 94 * 4096 * (2 * 4 * 128) * 2
    routers = 4 * 94 * 4096 * 128 * 2
    assert shape.weight_bytes(bf16, 8) - shape.weight_bytes(bf16, 4) == copies + routers


def test_each_gpu_of_a_group_has_a_host_link():
    one, four = (load_hardware("llama-3.3-70b", "h200", "fp8", tp=tp) for tp in (1, 4))
    assert four.swap_s(100_000) == one.swap_s(100_000) / 4
    assert four.host_link_share == one.host_link_share


def test_one_gpu_is_what_it_was_without_the_option():
    plain, asked = load_hardware(), load_hardware(tp=1)
    assert (plain.id, plain.hash) == (asked.id, asked.hash)
    assert plain.id == "h200:qwen3-coder-30b:bf16"


def test_an_id_names_the_group_and_is_hardware_again():
    asked = load_hardware("llama-3.3-70b", "h100", "fp8", kv_dtype="fp8", tp=4)
    assert asked.id == "h100x4:llama-3.3-70b:fp8:kv-fp8"
    assert (asked.gpu, asked.tensor_parallel) == ("h100", 4)
    assert load_hardware(gpu=asked.id).hash == asked.hash
    with pytest.raises(UsageError, match="says 4 and --tp 2; leave one of them out"):
        load_hardware(gpu="h100x4:llama-3.3-70b", tp=2)


@pytest.mark.parametrize("gpu", ["h100", "h200", "b200"])
@pytest.mark.parametrize("model", ["qwen3-coder-30b", "gpt-oss-120b", "llama-3.3-70b"])
def test_steps_of_a_group_rest_on_measured_tables_and_get_shorter(gpu, model):
    groups = [load_hardware(model, gpu, tp=tp) for tp in (2, 4, 8)]
    assert all(group.source.startswith("table ") for group in groups)
    assert not any("send each other" in text for group in groups for text in group.cautions)
    steps = [group.step_time.seconds(0, 0, [(8192, 65_536)]) for group in groups]
    assert steps == sorted(steps, reverse=True)


def test_what_gpus_send_each_other_is_in_the_table():
    """Two GPUs take more than half of what one takes, by all-reduces above all.

    Llama-3.3-70B sends 161 x 16,384 tokens x 16 KiB a step, there and back in a ring: 43 GB, which
    takes 0.1 s at NVLink's 450 GB/s.
    """
    one, two = (load_table(f"h200{n}-llama-3.3-70b-bf16") for n in ("", "x2"))
    sent_s = 161 * 16_384 * 8192 * 2 / 450e9
    assert two.provenance.parallel["tp_size"] == 2
    assert any("custom_allreduce" in name for name in two.provenance.sources_sha256)
    assert (two.rest.us[-1] - one.rest.us[-1] / 2) * 1e-6 > 0.8 * sent_s


def test_the_roofline_of_a_group_sends_over_its_link():
    """4 of 450 GB/s at 0.75: 161 all-reduces of 7 us, and 161 x 1.5 x 16 KiB a token."""
    served = _served("llama-3.3-70b", "bf16", 4)
    linked = from_shape(load_gpus()["h200"], served).curves.rest
    assert linked.all_reduces_s == pytest.approx(161 * 7e-6)
    assert linked.sent_token_s == pytest.approx(161 * 1.5 * 16_384 / (450e9 * 0.75))
    more = linked.seconds(1000) - linked.own.seconds(1000)
    assert more == pytest.approx(linked.all_reduces_s + 1000 * linked.sent_token_s)
    assert linked.seconds(0) == 0


def test_a_card_whose_link_is_not_known_says_what_is_left_out():
    cautions = load_hardware("llama-3.3-70b", "h100-nvl", tp=4).cautions
    assert any("What 4 GPUs send each other" in caution for caution in cautions)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("llama-3.3-70b", "h100", "bf16", 1), "h100:llama-3.3-70b:bf16 holds 0 .* or --tp 2, on"),
        (("qwen3-235b", "h100", "bf16", 4), "437.0 GiB of weights.* or --tp 8, on"),
        (("qwen3-coder-480b", "h100", "bf16", 8), "no --tp up to 8 fits"),
    ],
)
def test_a_model_that_does_not_fit_says_on_how_many_it_would(asked, message):
    *names, tp = asked
    with pytest.raises(DoesNotFitError, match=message) as error:
        load_hardware(*names, tp=tp)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("tp", "message"), [(3, "--tp takes 1, 2, 4 or 8"), (16, "not 16")])
def test_groups_are_those_of_one_machine(tp, message):
    with pytest.raises(UsageError, match=message):
        load_hardware(tp=tp)


def _served(model, precision, gpus):
    shape = load_models()[model]
    return served_model(model, shape, Wish(model, precision, None), gpus)


@pytest.mark.parametrize(
    ("model", "gpus", "whole"),
    [
        ("qwen3-235b", 4, False),  # 1536 / 4 = 3 x 128
        ("qwen3-235b", 8, True),  # 192
        ("qwen3-coder-480b", 4, False),  # 640 = 5 x 128
        ("qwen3-coder-480b", 8, True),  # 320
        ("qwen3-coder-30b", 2, False),  # 384 = 3 x 128
        ("qwen3-coder-30b", 4, True),  # 192
    ],
)
def test_experts_in_blocks_are_split_only_between_blocks(model, gpus, whole):
    """Else vLLM refuses, and serves them with --enable-expert-parallel: the table is of that."""
    served = _served(model, "fp8", gpus)
    assert served.has_whole_experts is whole
    assert any("--enable-expert-parallel" in caution for caution in served.cautions) is whole
    parallel = load_table(f"h200x{gpus}-{model}-fp8").provenance.parallel
    assert parallel["moe_ep_size"] == (gpus if whole else 1)


def test_experts_that_go_into_no_group_are_refused():
    shape = load_models()["qwen3-235b"].model_copy(update={"experts": 100})
    with pytest.raises(UsageError, match="neither the experts of m in fp8 nor their number, 100"):
        served_model("m", shape, Wish("m", "fp8", None), 8)


DATASHEET = """
model = "llama-3.3-70b"
[gpu]
name = "A card"
memory = "96 GiB"
bandwidth = "4 TB/s"
compute.bf16 = "500 TFLOPS"
host_link = "64 GB/s"
"""


def test_a_profile_that_does_not_say_how_many_gpus_is_asked_for_some(tmp_path):
    path = tmp_path / "card.toml"
    path.write_text(DATASHEET)
    assert load_hardware(profile=path, tp=4).id == "cardx4:llama-3.3-70b:bf16"
    path.write_text("tensor_parallel = 2\n" + DATASHEET)
    with pytest.raises(UsageError, match="card is for 2 GPUs and --tp says 4; leave --tp out"):
        load_hardware(profile=path, tp=4)
