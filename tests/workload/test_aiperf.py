"""AIPerf's inputs of texts: requests with messages, deltas, texts, and conversations of turns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from marsbench.errors import UsageError
from marsbench.formats.gathering import ImportResult
from marsbench.formats.hf import row_sources
from workload.logs import AIPERF, INPUTS, aiperf, inputs, payload
from workload.test_claude_code import lengths, tools
from workload.test_codex_gemini import found
from workload.trajectories import BY_WORDS, jsonl, save


def read(folder: Path, *rows: Any) -> ImportResult:
    return found(jsonl(folder / "aiperf.jsonl", *rows), BY_WORDS)


def test_messages_are_whole_prompts_and_a_line_is_no_trajectory(tmp_path: Path) -> None:
    later = ["user Hello", "assistant Hi!", "user How are you?"]
    rows = [aiperf(["user Hello"], 50, timestamp=0), aiperf(later, 30, timestamp=2_000)]
    result = read(tmp_path, *rows)
    (one,) = result.sessions
    assert one.id == "p1"
    assert lengths(one) == [(1, 50), (5, 30)]
    assert tools(one) == [[("user", 2.0)], []]  # --tool-time: the server's time is in the stamps
    assert result.accounts[0].stated.num_calls == 2
    assert (
        found(jsonl(tmp_path / "b.jsonl", *rows)).problems[0].endswith("--tokenizer NAME_OR_PATH")
    )
    with pytest.raises(UsageError, match="type `marsbench workload import aiperf FILES`"):
        row_sources("a table", rows, set(rows[0]), BY_WORDS)


def test_sessions_turns_and_single_texts_stand_in_one_file(tmp_path: Path) -> None:
    result = read(tmp_path, *AIPERF)
    assert result.problems == ()
    by_name = {one.id: one for one in result.sessions}
    assert lengths(by_name["p1"]) == [(10, 50), (15, 9)]
    assert tools(by_name["p1"]) == [[("wait", 1.5)], []]
    assert by_name["p1"].prefix_tokens == 8  # definitions of tools, and the system prompt
    assert lengths(by_name["p2"]) == [(2, 3), (7, 4)]
    assert tools(by_name["p2"]) == [[("user", 0.25)], []]
    assert lengths(by_name["aiperf-00003"]) == [(3, 7)]
    assert by_name["aiperf-00003"].arrival_s == 4.0


def test_a_history_that_was_changed_keeps_what_both_prompts_begin_with(tmp_path: Path) -> None:
    later = ["user a b c", "assistant X", "user f g", "user h i j k"]
    rows = [aiperf(["user a b c", "assistant d e", "user f g"], 2), aiperf(later, 2, delay=1)]
    (one,) = read(tmp_path, *rows).sessions
    assert lengths(one) == [(7, 2), (10, 2)]
    cut = one.rounds[1].cut
    assert cut is not None
    assert cut.kept_tokens == 3


def test_deltas_hold_what_is_new_and_the_answers_before_are_in_the_prompt(tmp_path: Path) -> None:
    delta = {"message_mode": "delta", "tools": [{"function": {"name": "ls"}}]}
    rows = [aiperf(["system be good", "user hi"], 50, **delta),
            aiperf(["user and how"], 5, delay=2_000, **delta)]  # fmt: skip
    (one,) = read(tmp_path, *rows).sessions
    assert lengths(one) == [(6, 50), (58, 5)]
    mixed = read(tmp_path, rows[0], {**rows[1], "message_mode": "history"})
    assert mixed.problems[0].endswith("some of its lines say delta and others not")


def test_an_answer_that_no_line_states_is_not_guessed(tmp_path: Path) -> None:
    rows = [aiperf(["user a"], None, delay=1),
            aiperf(["user a", "assistant b c d", "user e"], 4, delay=1)]  # fmt: skip
    assert lengths(read(tmp_path, *rows).sessions[0]) == [(1, 3), (5, 4)]
    lost = read(tmp_path, rows[0], {**rows[1], "output_length": None})
    assert lost.problems[0].endswith("call 1 has none, and no later line has its answer")


def test_lines_that_go_back_in_time_are_no_session(tmp_path: Path) -> None:
    rows = [aiperf(["user a"], 1, timestamp=9), aiperf(["user a"], 1, timestamp=2)]
    said = "timestamp: its lines are not in the order of their time stamps, sort them"
    assert read(tmp_path, *rows).problems[0].endswith(said)


@pytest.mark.parametrize("bad", ["{", '{"session_id": "p1", "messages": [], "output_length": 1}'])
def test_a_session_with_a_hole_in_it_is_left_out_and_others_are_not(
    tmp_path: Path, bad: str
) -> None:
    result = read(tmp_path, AIPERF[0], bad, AIPERF[3])
    assert "aiperf-00002" in {one.id for one in result.sessions}
    assert ":2: " in result.problems[0]


def test_the_inputs_of_a_run_are_its_sessions(tmp_path: Path) -> None:
    path = save(tmp_path / "inputs.json", INPUTS)
    result = found(path, BY_WORDS)
    assert (result.problems, result.has_arrivals) == ((), False)
    by_name = {one.id: one for one in result.sessions}
    # The answer that the next prompt repeats, and else the most that was allowed, which is said.
    assert lengths(by_name["i1"]) == [(4, 2), (8, 64)]
    assert result.notes[0].endswith("1 of 2 outputs are taken as long as their request allowed")
    assert by_name["i1"].prefix_tokens == 2
    assert tools(by_name["i1"]) == [[("user", 2.0)], []]
    assert lengths(by_name["i3"]) == [(5, 8)]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_session_of_which_each_turn_stands_alone_is_read_as_it_was_held(
    tmp_path: Path, indent: int | None
) -> None:
    """AIPerf writes down each turn by itself, and sent it behind those before."""
    path = tmp_path / "inputs.json"
    alone = [payload(f"system be {mood}", f"user {said}", max_tokens=5, ignore_eos=True)
             for mood, said in (("good", "a"), ("good", "b c"), ("good", "d"))]  # fmt: skip
    path.write_text(json.dumps(inputs(("p", alone)), indent=indent))
    result = found(path, BY_WORDS)
    assert lengths(result.sessions[0]) == [(3, 5), (10, 5), (16, 5)]
    assert result.notes == (
        f"{path}[0]: each of its payloads holds what is new, without the turns before",
    )


def test_inputs_that_are_cut_short_keep_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "inputs.json"
    path.write_text(json.dumps(INPUTS, indent=2)[:-250])
    result = found(path, BY_WORDS)
    assert [one.id for one in result.sessions] == ["i1"]
    assert "cut short" in result.problems[0]


def test_a_response_s_items_are_messages(tmp_path: Path) -> None:
    said = [{"role": "user", "content": [{"type": "input_text", "text": "fix it"}]}]
    call = {"type": "function_call", "name": "ls", "arguments": "-l", "call_id": "1"}
    answer = {"type": "function_call_output", "call_id": "1", "output": "a b c"}
    sent = [{"input": said, "max_output_tokens": 9},
            {"input": [*said, call, answer], "max_output_tokens": 9}]  # fmt: skip
    (one,) = found(save(tmp_path / "i.json", inputs(("r", sent))), BY_WORDS).sessions
    assert lengths(one) == [(2, 2), (7, 9)]
    assert tools(one) == [[("wait", 2.0)], []]
