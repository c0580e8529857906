"""A step's time is a sum of curves that share what the hardware shares."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsbench.errors import UsageError
from marsbench.hardware.profile import load_hardware
from marsbench.hardware.roofline import RooflineDecode, RooflinePrefill, RooflineRest
from marsbench.hardware.steptime import Curves, StepTime


@pytest.fixture
def by_hand():
    """Overhead 1 s; dense 2 s, experts 8 s of which a token misses half, 0.1 s a token."""
    return StepTime(
        Curves(
            overhead_s=1.0,
            rest=RooflineRest(dense_s=2.0, experts_s=8.0, missed=0.5, token_s=0.1),
            prefill=RooflinePrefill(pair_s=0.01),
            decode=RooflineDecode(kv_token_s=0.001, request_s=0.25),
        )
    )


def test_a_decode_reads_the_dense_weights_its_experts_and_its_kv(by_hand):
    # 1 + (2 + 8 x 1/2 + 0.1) + (0.25 + 1000 x 0.001)
    assert by_hand.seconds(1, 1000) == pytest.approx(8.35)


def test_a_chunk_attends_to_its_prefix_and_to_half_of_itself(by_hand):
    # 1 + (2 + 8 x (1 - 1/16) + 0.4) + 4 x (10 + 2) x 0.01
    assert by_hand.seconds(0, 0, [(4, 10)]) == pytest.approx(11.38)


def test_weights_are_read_once_for_decodes_and_prefills_together(by_hand):
    attention = 2 * 0.25 + 1.0 + 4 * 12 * 0.01
    rest = by_hand.seconds(6, 0) - 6 * 0.25
    assert by_hand.seconds(2, 1000, [(4, 10)]) == pytest.approx(rest + attention)


def test_a_step_of_nothing_is_overhead(by_hand):
    assert by_hand.seconds(0, 0) == 1.0


def test_a_prefill_alone_is_the_sum_of_its_chunks(by_hand):
    chunks = by_hand.seconds(0, 0, [(4, 10)]) + by_hand.seconds(0, 0, [(1, 14)])
    assert by_hand.prefill_s(5, prefix=10, budget=4) == chunks


def test_scales_act_on_their_part_and_step_on_all(by_hand):
    def parts(**scale):
        return by_hand.with_scale(**scale).seconds(1, 1000)

    assert parts(overhead=2.0) == pytest.approx(8.35 + 1.0)
    assert parts(weights=2.0) == pytest.approx(8.35 + 6.1)
    assert parts(attention=2.0) == pytest.approx(8.35 + 1.25)
    assert parts(step=2.0) == pytest.approx(2 * 8.35)
    assert parts(step=2.0, overhead=2.0) == pytest.approx(2 * 8.35 + 2.0)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_that_is_not_a_positive_number_is_refused(by_hand, factor):
    with pytest.raises(UsageError, match="scale of attention"):
        by_hand.with_scale(attention=factor)


def test_it_survives_a_pickle_with_its_scale(by_hand):
    scaled = by_hand.with_scale(attention=1.2)
    assert pickle.loads(pickle.dumps(scaled)).seconds(3, 99) == scaled.seconds(3, 99)


PROFILES = [
    ("qwen3-coder-30b", "h100", "bf16"),
    ("qwen3-coder-30b", "h200", "fp8"),
    ("gpt-oss-120b", "h200", "mxfp4"),
    ("qwen3-coder-30b", "h100-nvl", "bf16"),
    ("", "cpu-tiny", None),
]

batches = st.tuples(
    st.integers(0, 64),
    st.integers(0, 4_000_000),
    st.lists(st.tuples(st.integers(1, 8192), st.integers(0, 250_000)), max_size=3),
)


@pytest.mark.parametrize("name", PROFILES)
@given(batch=batches, steps=st.integers(0, 40))
def test_a_run_is_bit_for_bit_its_single_steps(name, batch, steps):
    step_time = load_hardware(*name).step_time
    num_decodes, kv_tokens, prefills = batch
    single = [
        step_time.seconds(
            num_decodes, kv_tokens + num_decodes * i, [(c, p + c * i) for c, p in prefills]
        )
        for i in range(steps)
    ]
    assert step_time.run_seconds(num_decodes, kv_tokens, prefills, steps) == single


@pytest.mark.parametrize("name", PROFILES)
@given(
    contexts=st.lists(st.integers(1, 130_000), max_size=64),
    prefills=st.lists(st.tuples(st.integers(1, 8192), st.integers(0, 122_000)), max_size=3),
)
def test_more_tokens_never_take_less_time(name, contexts, prefills):
    """But for 3 % of a small step: two contexts may be split better over the GPU than one."""
    step_time = load_hardware(*name).step_time
    base = step_time.seconds(len(contexts), sum(contexts), prefills)
    assert base > 0
    assert step_time.seconds(len(contexts), sum(contexts) + len(contexts), prefills) >= base
    more = sum(contexts) + 1
    assert step_time.seconds(len(contexts) + 1, more, prefills) >= 0.97 * base
    assert step_time.seconds(len(contexts), sum(contexts), [*prefills, (1, 0)]) >= base
