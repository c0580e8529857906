"""Trajectories in ATIF."""

from __future__ import annotations

from pathlib import Path

from marsbench.formats.fallback import Fallback
from workload.logs import ATIF
from workload.test_claude_code import lengths, tools
from workload.test_codex_gemini import found
from workload.trajectories import BY_WORDS, save


def test_a_step_is_a_call_and_its_tools_take_a_stated_time(tmp_path: Path) -> None:
    path = save(tmp_path / "t.json", ATIF)
    (problem,) = found(path).problems
    assert problem.endswith("call 0 has no recorded tool time, give --tool-time SECONDS")
    result = found(path, Fallback(tool_s=0.5))
    (session,) = result.sessions
    assert lengths(session) == [(1_000, 20), (1_100, 30), (1_200, 9)]
    assert tools(session)[0] == [("bash", 0.5), ("bash", 0.5)]
    (delegate,) = session.rounds[1].tools
    assert delegate.child is not None
    assert lengths(delegate.child) == [(300, 5)]
    stated = result.accounts[0].stated
    assert (stated.span_s, stated.num_calls, stated.cached_tokens) == (12.0, 4, 2_000)
    assert (result.unawaited, result.differences) == (0, ())


def test_a_tool_time_that_cannot_be_is_held_against_the_clock(tmp_path: Path) -> None:
    (problem,) = found(save(tmp_path / "t.json", ATIF), Fallback(tool_s=60.0)).problems
    assert problem.endswith("its gaps come to 60 s, but its recording lasted 12 s")


def test_steps_without_metrics_are_counted_by_a_tokenizer(tmp_path: Path) -> None:
    steps = [{key: v for key, v in one.items() if key != "metrics"} for one in ATIF["steps"][:2]]
    path = save(tmp_path / "t.json", {**ATIF, "steps": steps, "subagent_trajectories": []})
    (session,) = found(path, BY_WORDS).sessions
    assert session.rounds[0].append_tokens == 2


def test_a_sub_agent_that_no_step_names_is_counted(tmp_path: Path) -> None:
    path = save(tmp_path / "t.json", {**ATIF, "steps": ATIF["steps"][:2]})
    assert found(path, BY_WORDS).unawaited == 1
