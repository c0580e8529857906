"""Conversations of texts alone: ShareGPT's, and tau-bench's runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from workload.logs import SHAREGPT, TAUBENCH
from workload.test_claude_code import lengths, tools
from workload.test_codex_gemini import found
from workload.trajectories import BY_WORDS, jsonl, save


@pytest.mark.parametrize("shape", ["array", "lines"])
def test_a_conversation_is_a_session_of_the_tokenizers_lengths(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "s.json"
    path = save(path, SHAREGPT) if shape == "array" else jsonl(path, *SHAREGPT)
    assert found(path).problems[0].endswith("give --tool-time SECONDS")
    result = found(path, BY_WORDS)
    assert [one.id for one in result.sessions] == ["x_0", "x_1"]
    assert lengths(result.sessions[0]) == [(2, 3), (8, 1)]
    assert tools(result.sessions[0]) == [[("user", 2.0)], []]


def test_somebody_unknown_costs_that_conversation(tmp_path: Path) -> None:
    odd = {"id": "y", "conversations": [{"from": "ghost", "value": "boo"}]}
    result = found(save(tmp_path / "s.json", [*SHAREGPT, odd]), BY_WORDS)
    assert len(result.sessions) == 2
    assert result.problems[0].endswith("conversations: 'ghost' is nobody that is known")


def test_a_run_of_tau_bench_names_its_tools_and_its_trial(tmp_path: Path) -> None:
    result = found(save(tmp_path / "t.json", TAUBENCH), BY_WORDS)
    assert [one.id for one in result.sessions] == ["3.0", "3.1"]
    first = result.sessions[0]
    assert lengths(first) == [(5, 2), (9, 1), (12, 1)]
    assert tools(first) == [[("find", 2.0)], [("user", 2.0)], []]
    assert first.prefix_tokens == 4
