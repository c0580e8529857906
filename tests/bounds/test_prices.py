"""The lemma of docs/bounds.md: whatever a step holds, it takes what its parts cost at least."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.bounds.curves import LowestStep
from marsbench.bounds.prices import Prices, best_prices
from marsbench.bounds.rounds import Need
from marsbench.hardware.profile import load_hardware
from marsbench.hardware.tables import load_table

BUDGET, KV, LONGEST, HELD = 2048, 200_000, 60_000, 20_000
HARDWARE = ("h200", "h100", "h100:gpt-oss-120b", "cpu-tiny")


@cache
def prices(gpu: str) -> Prices:
    lowest = LowestStep(load_hardware(gpu=gpu).step_time, BUDGET, 64, LONGEST)
    needs = [Need(0, HELD, 500, 0, ()), Need(50_000, 55_000, 900, 0, ())]
    return best_prices(lowest, needs, KV)


@pytest.mark.parametrize("gpu", HARDWARE)
@settings(max_examples=60, deadline=None)
@given(
    decodes=st.lists(st.integers(HELD, LONGEST - 1), max_size=KV // HELD),
    chunks=st.lists(
        st.tuples(st.integers(1, BUDGET), st.integers(0, LONGEST - BUDGET - 1)), max_size=4
    ),
)
def test_no_step_takes_less_than_its_parts_cost(
    gpu: str, decodes: list[int], chunks: list[tuple[int, int]]
) -> None:
    held: list[int] = []
    for context in decodes:
        if sum(held) + context <= KV:
            held.append(context)
    prefills, left = [], BUDGET - len(held)
    for chunk, prefix in chunks:
        if chunk <= left:
            prefills.append((chunk, prefix))
            left -= chunk
    if not held and not prefills:
        return
    low = prices(gpu)
    cost = low.step_s + sum(low.decode_s + low.lowest.read_s * context for context in held)
    for chunk, prefix in prefills:
        of = Need(prefix, prefix + chunk, 1, 0, ())
        cost += float(low.prefill_works(of).sum())
    took = load_hardware(gpu=gpu).step_time.seconds(len(held), sum(held), prefills)
    assert cost <= took * (1 + 1e-9)


@pytest.mark.parametrize("gpu", HARDWARE)
def test_a_lone_decode_costs_nearly_what_it_takes(gpu: str) -> None:
    low = prices(gpu)
    step = load_hardware(gpu=gpu).step_time
    for context in (1, 1_000, LONGEST - 1):
        least = low.lowest.decode_step_s[context]
        assert 0.7 * step.seconds(1, context) < least <= step.seconds(1, context) * (1 + 1e-9)


def test_curves_are_looked_up_at_all_their_corners() -> None:
    corners = {c for k in range(20) for c in (2**k, 3 * 2**k)}
    for gpu in ("h100", "h200"):
        for model in ("qwen3-coder-30b-bf16", "qwen3-coder-30b-fp8", "gpt-oss-120b-mxfp4"):
            table = load_table(f"{gpu}-{model}")
            assert table is not None
            assert set(table.prefill.chunks) <= corners
            assert all(c & (c - 1) == 0 for c in table.decode.contexts)
