"""TraceLab's traces: a line a call, sessions wherever their lines stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from marsbench.formats.gathering import ImportResult
from workload.logs import RUNNER, TRACELAB, iso, tracelab
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


def runner(folder: Path, text: str) -> ImportResult:
    path = folder / "r.csv"
    path.write_text(text)
    return found(path)


def test_a_row_of_the_runner_s_is_a_round_and_a_wait_is_behind_it(tmp_path: Path) -> None:
    result = runner(tmp_path, RUNNER)
    assert (result.problems, result.has_arrivals) == ((), True)
    one, other = result.sessions
    assert lengths(one) == [(512, 64), (704, 50), (794, 9)]
    assert tools(one) == [[("wait", 0.1)], [("wait", 0.0805)], []]
    assert all(prompt.cut is None for prompt in one.rounds)
    assert (lengths(other), other.arrival_s) == ([(400, 48)], 0.2)
    assert result.accounts[0].stated.num_calls == 3


def test_as_tracelab_exports_it_the_runner_s_table_has_other_columns(tmp_path: Path) -> None:
    # A prompt that is shorter keeps what the cache still had; one that is not goes on.
    text = """id,input_len,output_len,arrival_time,round_idx,tool_wait_after_ms,prefix_len
a,900,100,0.000000,0,0.000000,0
a,1100,9,0.000000,1,0.000000,0
a,50,9,0.000000,2,0.000000,700
"""
    (one,) = runner(tmp_path, text).sessions
    assert lengths(one) == [(900, 100), (1_100, 9), (750, 9)]
    assert [prompt.cut is None for prompt in one.rounds] == [True, True, False]
    assert one.rounds[2].cut is not None
    assert one.rounds[2].cut.kept_tokens == 700


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("l1,0,3,1,1", "it has 5 columns"),
        ("l1,0,3,1,-1,9,0", "'-1' is no count of tokens"),
        ("l1,0,3,1,1,9,nan", "'nan' is no time"),
        ("l1,0,3,1,1,9,soon", "'soon' is no time"),
        (",0,3,1,1,9,0", "it names no session"),
    ],
)
def test_a_row_that_is_none_costs_itself_alone(tmp_path: Path, row: str, said: str) -> None:
    result = runner(tmp_path, f"{RUNNER}{row}\n")
    assert len(result.sessions) == 2
    assert result.problems[0].endswith(f"r.csv:6: is no round ({said})")


def test_two_rounds_of_one_number_are_two_sessions_in_one(tmp_path: Path) -> None:
    result = runner(tmp_path, RUNNER + RUNNER.partition("\n")[2])
    assert not result.sessions
    assert "round_idx: 0 is there twice" in result.problems[0]
