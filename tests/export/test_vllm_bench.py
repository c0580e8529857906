"""A run as `vllm bench serve --save-result` writes one: vLLM's own keys, and its arithmetic."""

from __future__ import annotations

import ast
import importlib.util
import json
import math
from pathlib import Path

import pytest

from marsbench.report.export.results import Results
from marsbench.report.export.vllm_bench import vllm_bench

# What vLLM writes only when asked for something that a run has no counterpart of.
OPTIONAL = ("ramp_up_", "rps_change_", "spec_decode_", "diffusion_", "probe_", "server_")


def vllm_keys() -> set[str]:
    """Every key that vLLM's writer sets, read from its source without importing it."""
    found = importlib.util.find_spec("vllm")
    if found is None or not found.submodule_search_locations:
        pytest.skip("vLLM is not installed")
    source = Path(found.submodule_search_locations[0]) / "benchmarks" / "serve.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    keys: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            own = {k.value for k in node.keys if isinstance(k, ast.Constant)}
            if {"request_goodput", "output_lens"} <= own:
                keys |= own
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            to = node.value.id if isinstance(node.value, ast.Name) else ""
            if to in ("result", "result_json") and isinstance(node.slice, ast.Constant):
                keys.add(node.slice.value)
    return {key for key in keys if not key.startswith(OPTIONAL)}


def test_it_has_all_of_vllm_s_keys_and_no_others(results: Results) -> None:
    own = {key for key in vllm_bench(results, detailed=True) if not key.startswith("marsbench_")}
    timings = {
        f"{statistic}_{name}_ms"
        for name in ("ttft", "tpot", "itl", "e2el")
        for statistic in ("mean", "median", "std", "p50", "p90", "p95", "p99")
    }
    assert own == vllm_keys() | timings


def test_totals_and_timings_are_of_completed_rounds(results: Results) -> None:
    found = vllm_bench(results)
    assert found["num_prompts"] == 4
    assert (found["completed"], found["failed"]) == (3, 1)
    assert found["total_input_tokens"] == 100 + 200 + 160
    assert found["total_output_tokens"] == 11 + 1 + 11
    assert found["duration"] == 12.0
    assert found["output_throughput"] == pytest.approx(23 / 12)
    # From submit, as vLLM's client counts: 1 s, 1 s, 1 s.
    assert found["mean_ttft_ms"] == pytest.approx(1000.0)
    assert found["mean_e2el_ms"] == pytest.approx((3 + 5 + 1) / 3 * 1000)
    # A round of one token has no time per output token; the sub-agent's took no time.
    assert found["mean_tpot_ms"] == pytest.approx((2 / 10 + 0) / 2 * 1000)
    assert found["max_concurrent_requests"] == 2


def test_what_was_not_measured_is_null(results: Results, empty: Results) -> None:
    found = vllm_bench(results, detailed=True)
    for key in ("mean_itl_ms", "itls", "request_rate", "request_goodput", "tokenizer_id", "rtfx"):
        assert found[key] is None, key
    nothing = vllm_bench(empty)
    for key in ("duration", "total_input_tokens", "request_throughput", "p99_ttft_ms", "model_id"):
        assert nothing[key] is None, key
    assert nothing["completed"] == 0


def test_detailed_lists_have_a_value_a_round(results: Results) -> None:
    found = vllm_bench(results, detailed=True)
    assert found["input_lens"] == [100, 300, 160, 200]
    assert found["ttfts"] == [1.0, None, 1.0, 1.0]
    assert found["queue_times"] == [1.0, 0.0, 0.0, 0.0]
    assert found["errors"] == ["", "the tool broke", "", ""]
    short = vllm_bench(results)
    assert "ttfts" not in short
    assert len(short["latencies"]) == 4


def test_goodput_of_sessions_is_in_fields_of_ours(results: Results) -> None:
    found = vllm_bench(results)
    assert found["marsbench_goodput"]["3"]["good"] == 1
    assert found["marsbench_goodput"]["3"]["arrived"] == 2
    assert found["marsbench_valid"] is False, "one of two sessions failed"
    assert (found["backend"], found["endpoint_type"]) == ("mars", "marsbench-sim")


def test_it_is_strict_json(results: Results) -> None:
    text = json.dumps(vllm_bench(results, detailed=True), allow_nan=False)
    assert not any(isinstance(v, float) and math.isnan(v) for v in json.loads(text).values())
