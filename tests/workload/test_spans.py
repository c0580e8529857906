"""Spans of tracers: OpenTelemetry's of generative AI, and Langfuse's observations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from marsbench.formats.gathering import ImportResult
from workload.logs import DYNAMO, LANGFUSE, OTEL, observed, otel_call, otel_span, otel_tool, otlp
from workload.test_claude_code import lengths, tools
from workload.test_codex_gemini import found
from workload.trajectories import jsonl, save


def traced(folder: Path, *spans: Any) -> ImportResult:
    return found(save(folder / "spans.json", otlp(*spans)))


def test_a_trace_is_a_session_with_its_tools_and_what_the_client_did(tmp_path: Path) -> None:
    result = found(save(tmp_path / "spans.json", OTEL))
    (session,) = result.sessions
    assert session.id == "t1"
    assert lengths(session) == [(900, 20), (1_000, 30), (1_100, 7)]
    delegate, search, gap = session.rounds[0].tools
    assert (search.name, search.floor_s) == ("search", pytest.approx(2.0))
    # What it took to begin it runs before it, and what the client did until the next call beside.
    assert delegate.child is not None
    assert delegate.child.arrival_s == pytest.approx(0.1)
    assert (gap.name, gap.floor_s) == ("client_gap", pytest.approx(7.0))
    assert tools(session)[1] == [("client_gap", 60.0)]
    assert lengths(delegate.child) == [(300, 5), (320, 5)]
    assert tools(delegate.child)[0] == [("ls", 1.0), ("client_gap", 2.0)]
    assert result.accounts[0].stated.num_calls == 5
    assert (result.repairs, result.differences, result.unawaited) == ((), (), 0)


def test_traces_of_one_conversation_are_one_session(tmp_path: Path) -> None:
    one = otel_call("a", 1, 3, (900, 20), gen_ai__conversation__id="c7")
    two = otel_call("b", 60, 63, (990, 20), trace="t2", gen_ai__conversation__id="c7")
    tool = otel_tool("ls", 3, 5)  # names none, but its trace's call does
    other = otel_call("z", 9, 10, (50, 5), trace="t3")
    path = jsonl(tmp_path / "spans.jsonl", otlp(two, other), otlp(one, tool))
    result = found(path)
    assert {one.id: len(one.rounds) for one in result.sessions} == {"c7": 2, "t3": 1}
    # They arrive as they did.
    assert {one.id: one.arrival_s for one in result.sessions} == {"c7": 0.0, "t3": 8.0}
    named = next(one for one in result.sessions if one.id == "c7")
    assert tools(named)[0] == [("ls", 2.0), ("client_gap", 57.0)]


def test_cached_tokens_are_of_the_input_or_beside_it(tmp_path: Path) -> None:
    cached = {"gen_ai__usage__cache_read__input_tokens": 800}
    within = otel_call("a", 1, 3, (900, 20), **cached)
    beside = otel_call("b", 5, 7, (100, 20), gen_ai__usage__cache_read_input_tokens=850)
    result = traced(tmp_path, within, beside)
    assert lengths(result.sessions[0]) == [(900, 20), (950, 20)]
    assert result.accounts[0].stated.cached_tokens == 1_650


def test_names_from_before_the_convention_are_known(tmp_path: Path) -> None:
    old = otel_span("a", 1, 3, llm__request__type="chat", gen_ai__usage__prompt_tokens=70,
                    gen_ai__usage__completion_tokens=8)  # fmt: skip
    inference = otel_span("b", 5, 7, openinference__span__kind="LLM",
                          llm__token_count__prompt=90, llm__token_count__completion=9)  # fmt: skip
    assert lengths(traced(tmp_path, old, inference).sessions[0]) == [(70, 8), (90, 9)]


def test_calls_at_the_same_time_are_taken_one_after_another_and_it_is_said(tmp_path: Path) -> None:
    result = traced(tmp_path, otel_call("a", 1, 9, (90, 8)), otel_call("b", 4, 12, (70, 8)))
    assert len(result.sessions[0].rounds) == 2
    assert result.accounts[0].repairs == ("calls at the same time, taken one after another",)


def test_a_span_that_is_none_costs_that_span(tmp_path: Path) -> None:
    bad = otel_call("b", 4, 5, (-5, 3))
    result = traced(tmp_path, otel_call("a", 1, 3, (90, 8)), bad)
    assert len(result.sessions[0].rounds) == 1
    assert result.accounts[0].repairs == ("a span that cannot be read",)
    (problem,) = traced(tmp_path, otel_tool("ls", 1, 2)).problems
    assert problem.endswith("holds no call of a model")


@pytest.mark.parametrize("shape", ["array", "lines", "page", "trace"])
def test_observations_are_sessions_however_they_were_exported(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "o.json"
    if shape == "lines":
        jsonl(path, *LANGFUSE)
    else:
        page = {"data": LANGFUSE, "meta": {}}
        whole = {"id": "t1", "sessionId": "s1", "observations": LANGFUSE}
        save(path, {"array": LANGFUSE, "page": page, "trace": whole}[shape])
    result = found(path)
    (session,) = result.sessions
    assert session.id == "s1"
    assert lengths(session) == [(900, 20), (1_000, 9)]
    assert tools(session) == [[("bash", 3.0), ("client_gap", 4.0)], []]
    stated = result.accounts[0].stated
    assert (stated.cached_tokens, stated.reasoning_tokens) == (800, 5)


def test_parts_that_are_in_the_input_are_not_added_to_it(tmp_path: Path) -> None:
    within = {"input": 900, "input_cached_tokens": 800, "output": 20, "total": 920}
    rows = [{"id": "a", "trace_id": "t", "type": "GENERATION", "usage_details": within,
             "start_time": "2026-01-05 10:00:00", "end_time": "2026-01-05 10:00:02"}]  # fmt: skip
    assert lengths(found(jsonl(tmp_path / "o.jsonl", *rows)).sessions[0]) == [(900, 20)]


def test_characters_are_no_tokens(tmp_path: Path) -> None:
    usage = {"input": 4_000, "output": 80, "unit": "CHARACTERS"}
    row = observed("a", "GENERATION", 1, 3, usage=usage)
    (problem,) = found(jsonl(tmp_path / "o.jsonl", row, row)).problems
    assert problem.endswith("call 0 has no recorded token count, give --tokenizer NAME_OR_PATH")


def test_a_trajectory_of_dynamo_is_a_session(tmp_path: Path) -> None:
    alone = {"event": {**DYNAMO[0]["event"], "agent_context": None}}
    alone["event"]["request"] = {**alone["event"]["request"], "request_id": "z"}
    result = found(jsonl(tmp_path / "d.jsonl", *DYNAMO, alone, "{"))
    session, other = result.sessions
    assert (session.id, other.id) == ("run:root", "z")
    assert lengths(session) == [(2_000, 100), (2_200, 100)]
    assert tools(session) == [[("bash", 1.75), ("client_gap", 3.0)], []]
    stated = result.accounts[0].stated
    assert (stated.span_s, stated.calls_s, stated.cached_tokens) == (6.0, 3.0, 1_984)
    assert result.accounts[0].repairs == ("a line that cannot be read",)
