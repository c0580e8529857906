"""Tables of `datasets`: rows of known agents, our own export and back, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings

from marsbench.core.session import Cut, Round, ToolCall
from marsbench.core.workload.files import Workload
from marsbench.errors import UsageError
from marsbench.formats.dataset_rows import read_rows_of_ours, rows_of
from marsbench.formats.gathering import gather
from marsbench.formats.hf import import_hf, write_hf
from marsbench.formats.reading import Contents
from workload.builders import session, workload
from workload.logs import NEBIUS, R2E
from workload.test_mooncake import workloads
from workload.test_openhands import HISTORY, USAGE
from workload.trajectories import BY_WORDS, NOTHING, jsonl, reply, said, v0_row

MESSAGES = [
    said("system", "you are an agent"),
    said("user", "fix it"),
    reply("I look") | {"tool_calls": [{"function": {"name": "bash", "arguments": "{}"}}] * 2},
    said("tool", "a.py b.py"),
    reply("I am done"),
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the library keeps of a file goes with the test."""
    import datasets

    monkeypatch.setattr(
        datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets"))
    )


def test_rows_of_messages_need_a_tokenizer_and_a_time(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "rows.jsonl",
        {"messages": json.dumps(MESSAGES), "instance_id": "i1", "traj_id": "i1.7", "model": "m"},
        {"messages": json.dumps([]), "instance_id": "i2", "traj_id": "i2.1", "model": "m"},
    )
    result = import_hf(str(path), BY_WORDS, "train")
    (one,) = result.sessions
    assert result.problems == (f"{path}:1: messages: holds no reply of a model (role assistant)",)
    assert one.id == "i1.7"
    assert [(p.num_tokens, p.output_tokens) for p in one.prompts()] == [(6, 6), (14, 3)]
    # As many calls as the reply asked for, each as long as stated.
    assert one.rounds[0].tools == (ToolCall("bash", "wait", floor_s=2.0),) * 2
    assert "give --tool-time SECONDS" in import_hf(str(path), NOTHING, "train").problems[0]


def test_parquet_of_openhands_rows_is_read_as_output_jsonl_is(tmp_path: Path) -> None:
    from datasets import Dataset

    row = v0_row(HISTORY, USAGE)
    packed = {**row, "history": json.dumps(row["history"]), "metrics": json.dumps(row["metrics"])}
    path = tmp_path / "rows.parquet"
    Dataset.from_list([packed, {**packed, "instance_id": "task-2"}]).to_parquet(str(path))
    result = import_hf(str(path), NOTHING, "train")
    assert result.problems == ()
    assert [one.id for one in result.sessions] == ["task-1", "task-2"]
    assert [p.num_tokens for p in result.sessions[0].prompts()] == [100, 130, 170]
    assert len(import_hf(str(path), NOTHING, "train", most=1).sessions) == 1


def test_rows_of_mini_swe_agent_carry_their_own_usage(tmp_path: Path) -> None:
    timed = [
        said("user", "fix it"), reply("ls", 100.0, (50, 4)), said("tool", "x", 101.0),
        reply("done", 103.0, (70, 2)),
    ]  # fmt: skip
    row = {"messages": timed, "trajectory_format": "mini-swe-agent-1.1", "instance_id": "i"}
    path = jsonl(tmp_path / "rows.jsonl", row)
    (one,) = import_hf(str(path), NOTHING, "train").sessions
    assert [(p.num_tokens, p.output_tokens) for p in one.prompts()] == [(50, 4), (70, 2)]
    assert one.rounds[0].tools == (ToolCall("bash", "wait", floor_s=1.0),)


def test_definitions_of_tools_are_in_every_prompt(tmp_path: Path) -> None:
    row = {"messages": MESSAGES, "tools": [{"name": "bash"}], "trajectory_id": "t"}
    (one,) = import_hf(str(jsonl(tmp_path / "rows.jsonl", row)), BY_WORDS, "train").sessions
    assert [p.num_tokens for p in one.prompts()] == [8, 16]  # [{"name": "bash"}] is two words
    assert one.prefix_tokens == 6


def test_nebius_s_trajectories_have_roles_and_texts_of_their_own(tmp_path: Path) -> None:
    from datasets import Dataset

    path = tmp_path / "rows.parquet"
    Dataset.from_list([NEBIUS]).to_parquet(str(path))
    result = import_hf(str(path), BY_WORDS, "train")
    (one,) = result.sessions
    assert [(p.num_tokens, p.output_tokens) for p in one.prompts()] == [(6, 2), (10, 1)]
    assert (one.id, one.prefix_tokens) == ("n1", 4)
    assert result.accounts[0].stated.num_calls == 2


def test_calls_are_counted_against_what_a_row_states(tmp_path: Path) -> None:
    row = {"messages": MESSAGES, "info": {"model_stats": {"api_calls": 4}}}
    result = import_hf(str(jsonl(tmp_path / "rows.jsonl", row)), BY_WORDS, "train")
    assert result.differences[0].endswith("2 rounds of 4 recorded calls of a model")


def test_steps_of_r2e_gym_have_their_own_usage_and_times(tmp_path: Path) -> None:
    result = import_hf(str(jsonl(tmp_path / "r2e.jsonl", R2E)), NOTHING, "train")
    (one,) = result.sessions
    assert [(p.num_tokens, p.output_tokens) for p in one.prompts()] == [(1_000, 20), (1_100, 9)]
    assert one.rounds[0].tools == (ToolCall("search", "wait", floor_s=0.5),)
    stated = result.accounts[0].stated
    assert (stated.span_s, stated.num_calls, stated.calls_s) == (5.6, 2, 5.0)
    # -1 is what it writes where the server counted nothing, and the system prompt is in no step.
    lost = json.loads(json.dumps(R2E).replace("1100", "-1"))
    result = import_hf(str(jsonl(tmp_path / "b.jsonl", lost)), BY_WORDS, "train")
    assert result.problems[0].endswith("trajectory_steps: step 1 has no token usage")


def test_columns_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "rows.jsonl", {"question": "?", "solution": "!"})
    with pytest.raises(UsageError, match="has the columns question, solution, which no known"):
        import_hf(str(path), NOTHING, "train")


def test_a_name_on_the_hub_without_a_network_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "marsbench", "workload", "import", "hf", "someone/nothing",
         "-o", "w.jsonl"],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("marsbench: Cannot load the data set 'someone/nothing' (")
    assert done.stderr.endswith("or a name and --split that this machine can fetch.\n")
    assert done.stderr.count("\n") == 1


@settings(max_examples=25)
@given(workloads())
def test_rows_come_back_as_they_were(before: Workload) -> None:
    sources, header = read_rows_of_ours(rows_of(before), "here")
    assert header is not None
    result = gather((Contents(sources),))
    assert Workload(header.name, result.sessions, header.lanes, header.meta) == before


def test_a_folder_comes_back_as_it_was(tmp_path: Path) -> None:
    child = session("c", Round(70, 20))
    tools = (ToolCall("agent", "agent", child=child), ToolCall("x", "cpu", 1.5, 0.5))
    before = workload(
        session("a", Round(200, 30, tools), Round(60, 9, cut=Cut(90, 60)), tenant="t"),
        session("b", arrival_s=3.0, prefix_group="g", prefix_tokens=7),
        meta={"seed": 3},
    )
    write_hf(before, tmp_path / "out")
    result = import_hf(str(tmp_path / "out"), NOTHING, "train")
    assert result.problems == ()
    assert result.header is not None
    assert Workload(result.header.name, result.sessions, None, result.header.meta) == before
    with pytest.raises(UsageError, match="exists already"):
        write_hf(before, tmp_path / "out")


def test_a_sub_agent_without_its_row_is_named(tmp_path: Path) -> None:
    call = ToolCall("agent", "agent", child=session("c"))
    rows = rows_of(workload(session("a", Round(5, 1, (call,)), Round(5, 1)), session("b")))
    sources, _ = read_rows_of_ours([row for row in rows if row["id"] != "c"], "here")
    result = gather((Contents(sources),))
    assert result.problems == ("here:0: sub-agent 'c' has no row, or is its own parent",)
    assert [one.id for one in result.sessions] == ["b"]
