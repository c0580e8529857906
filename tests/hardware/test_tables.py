"""Tables are interpolated inside their grid and extended by physics beyond it."""

import hashlib
import json
import math

import pytest

from marsbench.hardware import tables
from marsbench.hardware.catalog import load_gpus
from marsbench.hardware.profile import load_hardware
from marsbench.hardware.tables import (
    DecodeTable,
    PrefillTable,
    RestTable,
    TableDecode,
    TablePrefill,
    TableRest,
    load_table,
)

NAMES = [
    f"{gpu}-{model}"
    for gpu in ("h100", "h200")
    for model in ("qwen3-coder-30b-bf16", "qwen3-coder-30b-fp8", "gpt-oss-120b-mxfp4")
]


def us(value):
    return pytest.approx(value * 1e-6)


def test_rest_is_linear_between_nodes_and_keeps_its_last_slope():
    rest = TableRest(RestTable(tokens=[1, 2, 4, 8], us=[10, 20, 20, 60]))
    assert rest.seconds(0) == 0.0
    assert rest.seconds(2) == us(20)
    assert rest.seconds(3) == us(20)
    assert rest.seconds(6) == us(40)
    assert rest.seconds(10) == us(80)


def test_noise_that_would_make_more_tokens_faster_is_ironed_out():
    rest = TableRest(RestTable(tokens=[1, 2, 4], us=[30, 20, 40]))
    assert rest.seconds(2) == us(30)


PREFILL = PrefillTable(
    chunks=[1, 4, 8],
    prefixes=[0, 4],
    us=[[10, 10], [14, 26], [42, None]],
)
"""Floor 10 us; the pairs of 8 tokens, 32, take 32 us beyond it, so a pair takes 1 us."""


def test_prefill_meets_the_table_and_counts_its_floor_apart():
    prefill = TablePrefill(PREFILL)
    assert prefill.once_s == us(10)
    assert prefill.seconds(4, 0) == us(4)
    assert prefill.seconds(4, 4) == us(16)
    assert prefill.seconds(4, 2) == us(10)


def test_prefill_between_chunks_is_linear_per_token():
    # 4 tokens take 1 us each, 8 take 4 us each, so 6 take 2.5 us each.
    assert TablePrefill(PREFILL).seconds(6, 0) == us(15)


def test_prefill_beyond_the_grid_takes_its_pairs_of_tokens_over_the_fitted_rate():
    prefill = TablePrefill(PREFILL)
    assert prefill.seconds(4, 104) == us(16 + 4 * 100)
    assert prefill.seconds(8, 100) == us(32 + 8 * 100)
    # 16 tokens: 2 x 8 at 4 us, and 16 x 8 / 2 pairs more
    assert prefill.seconds(16, 0) == us(64 + 64)


DECODE = DecodeTable(
    requests=[1, 4],
    contexts=[1, 1024, 2048],
    us=[[10, 10, 30], [10, 40, 80]],
)


def test_decode_meets_the_table():
    decode = TableDecode(DECODE)
    assert decode.seconds(1, 2048) == us(30)
    assert decode.seconds(4, 4096) == us(40)
    assert decode.seconds(4, 8192) == us(80)
    assert decode.seconds(1, 1536) == us(20)


def test_decode_between_measured_numbers_of_requests_is_between_their_times():
    one, four = TableDecode(DECODE).seconds(1, 2048), TableDecode(DECODE).seconds(4, 2048)
    assert TableDecode(DECODE).seconds(2, 2048) == pytest.approx(one + (four - one) / 3)


def test_decode_beyond_the_grid_reads_at_the_bandwidth_of_the_longest_contexts():
    # Four requests: 40 us for the last 4,096 tokens. One: 20 us for the last 1,024.
    decode = TableDecode(DECODE)
    assert decode.seconds(4, 2**20) == us(80 + (2**20 - 8192) * 40 / 4096)
    assert decode.seconds(1, 2**20) == us(30 + (2**20 - 2048) * 20 / 1024)


def test_more_requests_than_were_measured_take_their_kv_alone():
    decode = TableDecode(DECODE)
    assert decode.seconds(9, 8192) == decode.seconds(4, 8192)


def test_a_scale_multiplies_all_of_it():
    prefill, decode = TablePrefill(PREFILL), TableDecode(DECODE)
    assert prefill.scaled(3.0).scaled(0.5).seconds(4, 4) == us(24)
    assert prefill.scaled(2.0).once_s == us(20)
    assert decode.scaled(2.0).seconds(4, 8192) == us(160)


@pytest.mark.parametrize("name", NAMES)
def test_a_table_that_ships_is_whole_and_says_where_it_is_from(name):
    table = load_table(name)
    origin = table.provenance
    assert origin.profile.replace(":", "-") == name
    assert (origin.package, origin.version) == ("aiconfigurator-core", "0.12.0")
    assert len(origin.sources_sha256) == 4
    curves = {name: getattr(table, name).model_dump() for name in ("rest", "prefill", "decode")}
    text = json.dumps(curves, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == origin.table_sha256
    assert (table.longest_prefill, table.longest_decode) == (16_384, 65_536)


def test_the_grid_has_a_number_for_every_prefill_that_was_measured_and_no_other():
    table = load_table(NAMES[0]).prefill
    for chunk, row in zip(table.chunks, table.us, strict=True):
        for prefix, value in zip(table.prefixes, row, strict=True):
            assert (value is not None) == (chunk + prefix <= 16_384)


def test_there_is_no_table_for_unknown_hardware():
    assert load_table("h20-qwen3-coder-30b-bf16") is None


def test_runs_beyond_the_measured_grid_carry_a_caution_and_others_do_not():
    hardware = load_hardware()
    assert hardware.cautions_for(16_384) == ()
    (caution,) = hardware.cautions_for(131_072)
    assert "131,072 tokens" in caution
    assert "prefill to 16,384, decode to 65,536" in caution


def test_an_nvl_card_is_derived_from_its_sxm_board_and_says_so():
    nvl, sxm = load_hardware(gpu="h100-nvl"), load_hardware(gpu="h100")
    gpus = load_gpus()
    bytes_ratio = gpus["h100"].bandwidth / gpus["h100-nvl"].bandwidth
    assert "derived from" in nvl.cautions[0]
    assert nvl.source.startswith("derived from h100's table")
    decode = nvl.step_time.seconds(8, 4_000_000) - nvl.step_time.seconds(8, 2_000_000)
    base = sxm.step_time.seconds(8, 4_000_000) - sxm.step_time.seconds(8, 2_000_000)
    assert decode == pytest.approx(base * bytes_ratio)
    chunk = [(8192, 200_000)]
    ratio = nvl.step_time.seconds(0, 0, chunk) / sxm.step_time.seconds(0, 0, chunk)
    assert ratio == pytest.approx(989 / 835, rel=0.01)
    assert nvl.kv_tokens() > sxm.kv_tokens()


def test_the_cpu_server_takes_what_its_two_throughputs_say():
    seconds = load_hardware(gpu="cpu-tiny").step_time.seconds
    assert 1 / seconds(1, 256) == pytest.approx(145, rel=0.02)
    assert 16 / seconds(16, 16 * 256) == pytest.approx(243, rel=0.02)
    assert load_hardware(gpu="cpu-tiny").kv_tokens() * 256 == pytest.approx(2**30, rel=0.02)


def test_segments_cover_any_context_a_server_could_hold():
    decode = TableDecode(DECODE)
    assert math.isfinite(decode.seconds(4, 2 ** (tables.BITS - 2)))
