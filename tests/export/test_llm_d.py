"""A run as llm-d's benchmark report 0.2.1."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from export.llm_d_schema import Report
from marsbench.report.export.llm_d import llm_d_report, report_text
from marsbench.report.export.results import Results


def every_value(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in every_value(value)]
    return [leaf for v in tree for leaf in every_value(v)] if isinstance(tree, list) else [tree]


def test_a_report_is_one_of_their_schema(results: Results, empty: Results) -> None:
    for one in (results, empty):
        Report.model_validate(llm_d_report(one))


def test_yaml_and_json_say_the_same(results: Results) -> None:
    report = llm_d_report(results)
    assert yaml.safe_load(report_text(report, as_json=False)) == report
    assert json.loads(report_text(report, as_json=True)) == report


def test_requests_are_rounds_and_sessions_sessions(results: Results) -> None:
    found = llm_d_report(results)["results"]
    requests = found["request_performance"]["aggregate"]["requests"]
    assert (requests["total"], requests["incomplete"]) == (4, 1)
    assert requests["input_length"]["mean"] == pytest.approx((100 + 300 + 160 + 200) / 4)
    latency = found["request_performance"]["aggregate"]["latency"]
    assert latency["request_latency"]["p50"] == pytest.approx(3.0)
    sessions = found["session_performance"]["sessions"]
    assert (sessions["total"], sessions["succeeded"], sessions["failed"]) == (2, 1, 1)
    assert sessions["total_events"] == 3
    assert sessions["session_duration"]["mean"] == 10.0
    assert sessions["session_rate"]["mean"] == pytest.approx(1 / 12)
    # The failed session's one round was never answered: its tokens are not known, and not 0.
    assert sessions["input_tokens_per_session"]["mean"] == 300.0


def test_the_stack_says_what_served(results: Results, empty: Results) -> None:
    engine, scheduler = llm_d_report(results)["scenario"]["stack"]
    accelerator = engine["standardized"]["accelerator"]
    assert (accelerator["model"], accelerator["count"]) == ("h200", 2)
    assert engine["standardized"]["tool_version"] == "0.33.0"
    assert scheduler["standardized"]["tool"] == "mars"
    assert scheduler["native"]["args"] == {"alpha": 2}
    assert llm_d_report(empty)["scenario"]["stack"][0]["standardized"]["kind"] == "generic"


def test_goodput_is_under_native_for_they_have_no_field(results: Results) -> None:
    ours = llm_d_report(results)["scenario"]["load"]["native"]["config"]["marsbench"]
    assert ours["goodput"]["3"]["share"] == 0.5
    assert ours["slowdown"]["max"] == 2.0


def test_what_was_not_measured_is_left_out(results: Results, empty: Results) -> None:
    assert None not in every_value(llm_d_report(results))
    found = llm_d_report(empty)
    assert None not in every_value(found)
    assert "load" not in found["scenario"]
    assert found["results"]["request_performance"]["aggregate"]["latency"] == {}
    assert "observability" not in found["results"]


def test_the_same_run_has_the_same_id(results: Results) -> None:
    assert llm_d_report(results)["run"]["uid"] == llm_d_report(results)["run"]["uid"]
