"""TraceLab's traces: a line a call, sessions wherever their lines stand."""

from __future__ import annotations

from pathlib import Path

from workload.logs import TRACELAB, iso, tracelab
from workload.test_claude_code import lengths, tools
from workload.test_codex_gemini import found
from workload.trajectories import jsonl


def test_a_call_runs_from_the_last_that_it_answers_to_its_last_words(tmp_path: Path) -> None:
    result = found(jsonl(tmp_path / "t.jsonl", *TRACELAB))
    (one,) = result.sessions
    assert one.id == "claude:l1"
    assert lengths(one) == [(9_000, 80), (9_300, 40), (9_400, 9)]
    assert tools(one) == [[("Bash", 2.0), ("WebSearch", 7.0)], [("user", 60.0)], []]
    stated = result.accounts[0].stated
    assert (stated.num_calls, stated.span_s, stated.calls_s) == (3, 79.0, 12.0)
    assert stated.cached_tokens == 18_300
    assert (result.repairs, result.differences, result.problems) == ((), (), ())


def test_lines_of_a_session_stand_anywhere_and_twice(tmp_path: Path) -> None:
    other = tracelab(0, (50, 0, 5), [("user_message", 3), ("text", 4)], session_id="codex:z")
    path = jsonl(tmp_path / "t.jsonl", TRACELAB[2], other, TRACELAB[0], TRACELAB[1], TRACELAB[0])
    result = found(path)
    assert lengths(result.sessions[0]) == [(9_000, 80), (9_300, 40), (9_400, 9)]
    assert {one.id: one.arrival_s for one in result.sessions} == {"claude:l1": 0.0, "codex:z": 2.0}


def test_what_the_cache_still_had_is_kept_of_a_prompt_that_was_cut(tmp_path: Path) -> None:
    cut = tracelab(3, (4_000, 3_000, 5), [("user_message", 90), ("text", 99)])
    (one,) = found(jsonl(tmp_path / "t.jsonl", *TRACELAB, cut)).sessions
    last = one.rounds[3]
    assert last.cut is not None
    assert (last.cut.kept_tokens, last.append_tokens) == (3_000, 1_000)


def test_times_may_be_missing_or_seconds(tmp_path: Path) -> None:
    bare = {**TRACELAB[0], "timing_events": [], "session_id": "a"}
    bare["tools"] = [{"tool_name": "Bash", "emitted_at": 1.0, "tool_wall_latency_ms": 3_000}]
    second = {**TRACELAB[1], "session_id": "a", "tools": [], "timing_events": [
        {"event_type": "tool_result", "timestamp": 4.0}, {"event_type": "text", "timestamp": None},
    ]}  # fmt: skip
    (one,) = found(jsonl(tmp_path / "t.jsonl", bare, second)).sessions
    assert tools(one)[0] == [("Bash", 3.0)]
    assert iso(0)  # the others' clock
