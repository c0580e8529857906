"""Trajectories of chat messages: mini-swe-agent, SWE-agent, and rows of messages alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from marsbench.core.session import Cut, Session
from marsbench.formats.fallback import Fallback
from marsbench.formats.gathering import ImportResult
from marsbench.formats.miniswe import import_miniswe
from marsbench.formats.sweagent import REBUILT, import_sweagent
from workload.trajectories import BY_WORDS, NOTHING, reply, said, save, step

REAL = Path(__file__).parents[3] / "shared" / "traces"
needs_real = pytest.mark.skipif(
    not REAL.is_dir(), reason="the recorded traces are not beside the repository"
)
TIMES = Fallback(tool_s=2.0)


def lengths(session: Session) -> list[tuple[int, int]]:
    return [(prompt.num_tokens, prompt.output_tokens) for prompt in session.prompts()]


def tool_s(session: Session) -> list[list[float]]:
    return [[pytest.approx(t.floor_s) for t in rnd.tools] for rnd in session.rounds]


def one(result: ImportResult) -> Session:
    assert result.problems == ()
    (session,) = result.sessions
    return session


RECORDED = [
    said("system", "you are an agent"),
    said("user", "fix it"),
    reply("ls", 100.0, (50, 4)),
    said("tool", "a.py b.py", 100.75),
    reply("make and test", 103.0, (70, 6)),
    said("tool", "built", 104.0),
    said("tool", "tested", 113.0),
    reply("done", 120.0, (90, 2)),
    said("exit", "submitted", 121.0),
]


def mini(path: Path, messages: list[Any], **fields: Any) -> Path:
    return save(path, {"messages": messages, "trajectory_format": "mini-swe-agent-1.1", **fields})


def test_miniswe_reads_usage_and_time_stamps(tmp_path: Path) -> None:
    path = mini(tmp_path / "x.traj.json", RECORDED, instance_id="task-7")
    session = one(import_miniswe([path], NOTHING))
    assert session.id == "task-7"
    assert lengths(session) == [(50, 4), (70, 6), (90, 2)]
    assert tool_s(session) == [[0.75], [1.0, 10.0], []]


def test_miniswe_of_old_needs_a_tokenizer_and_a_time(tmp_path: Path) -> None:
    bare = [{k: v for k, v in message.items() if k != "extra"} for message in RECORDED[:5]]
    path = save(tmp_path / "old.traj.json", bare)
    (problem,) = import_miniswe([path], NOTHING).problems
    assert problem.endswith("call 0 has no recorded tool time, give --tool-time SECONDS")
    (problem,) = import_miniswe([path], TIMES).problems
    assert problem.endswith("call 0 has no recorded token count, give --tokenizer NAME_OR_PATH")
    session = one(import_miniswe([path], BY_WORDS))
    assert session.id == "old"
    assert lengths(session) == [(6, 1), (9, 3)]
    assert tool_s(session) == [[2.0], []]
    assert session.prefix_tokens == len(["you", "are", "an", "agent"])


def test_miniswe_refuses_a_tool_that_answers_before_it_was_asked(tmp_path: Path) -> None:
    path = mini(tmp_path / "x.traj.json", [*RECORDED[:3], said("tool", "x", 99.0), *RECORDED[4:]])
    (problem,) = import_miniswe([path], NOTHING).problems
    assert problem.endswith("call 0: a tool answered before it was asked")


HISTORY = [
    said("system", "you are an agent"),
    said("user", "fix it"),
    reply("I look"),
    said("tool", "a.py b.py"),
    reply("I edit"),
    said("tool", "edited"),
]


def test_sweagent_counts_its_history_and_says_that_it_did(tmp_path: Path) -> None:
    steps = [step("ls"), step("edit 1:2", 3.0)]
    path = save(tmp_path / "t.traj", {"trajectory": steps, "history": HISTORY})
    result = import_sweagent([path], BY_WORDS)
    assert result.notes == (f"{path}: {REBUILT}",)
    session = one(result)
    assert session.id == "t"
    assert lengths(session) == [(6, 2), (10, 2)]
    assert [[(t.name, t.floor_s) for t in rnd.tools] for rnd in session.rounds] == [
        [("ls", 0.5)],
        [],
    ]


def test_sweagent_takes_the_reply_that_submits_from_its_step(tmp_path: Path) -> None:
    steps = [step("ls"), step("edit 1:2"), step("submit")]
    path = save(tmp_path / "t.traj", {"trajectory": steps, "history": HISTORY})
    assert lengths(one(import_sweagent([path], BY_WORDS))) == [(6, 2), (10, 2), (13, 3)]


def test_a_demonstration_is_prompt_and_no_reply(tmp_path: Path) -> None:
    demo = {**reply("for example this"), "is_demo": True}
    path = save(
        tmp_path / "t.traj",
        {"trajectory": [step("ls"), step("edit")], "history": [*HISTORY[:2], demo, *HISTORY[2:]]},
    )
    assert lengths(one(import_sweagent([path], BY_WORDS)))[0] == (9, 2)


def test_sweagent_with_queries_shows_what_its_history_processor_cut(tmp_path: Path) -> None:
    first = [said("system", "you are an agent"), said("user", "fix it")]
    second = [*first, reply("I do it"), said("tool", "a.py b.py")]
    third = [*first, reply("I do it"), said("tool", "(omitted)"), reply("so"), said("tool", "ok")]
    steps = [step("ls", query=first), step("cat", query=second), step("rm", query=third)]
    session = one(import_sweagent([save(tmp_path / "t.traj", {"trajectory": steps})], BY_WORDS))
    assert lengths(session) == [(6, 3), (11, 3), (12, 3)]
    # "you are an agent", "fix it" and "I do it" are still as they were.
    assert [rnd.cut for rnd in session.rounds] == [None, None, Cut(9, 9)]


def test_sweagent_before_execution_times_needs_a_stated_time(tmp_path: Path) -> None:
    record = {"trajectory": [step("ls", None), step("edit", None)], "history": HISTORY}
    path = save(tmp_path / "t.traj", record)
    (problem,) = import_sweagent([path], Fallback(lambda _: 1)).problems
    assert problem.endswith("step 0 has no recorded tool time, give --tool-time SECONDS")


def test_steps_and_replies_that_do_not_pair_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "t.traj", {"trajectory": [step("ls")] * 5, "history": HISTORY})
    (problem,) = import_sweagent([path], BY_WORDS).problems
    assert "trajectory has 5 steps and history 2 replies" in problem


def test_content_in_parts_and_tool_calls_are_counted(tmp_path: Path) -> None:
    call = {"function": {"name": "bash", "arguments": json.dumps({"command": "ls -l"})}}
    parts = [{"type": "text", "text": "one two"}, {"type": "image_url"}]
    messages = [said("user", "x") | {"content": parts}, reply("") | {"tool_calls": [call]}]
    session = one(import_miniswe([save(tmp_path / "x.traj.json", messages)], BY_WORDS))
    assert lengths(session) == [(2, 4)]  # bash {"command": "ls -l"}


@needs_real
def test_the_real_trajectories_come_in() -> None:
    sessions = import_sweagent(sorted((REAL / "sweagent").glob("*.traj")), BY_WORDS).sessions
    assert [len(session.rounds) for session in sessions] == [5, 11]
    assert tool_s(sessions[1])[:2] == [[0.2396368359986809], [0.5635286070028087]]
    sessions = import_miniswe(sorted((REAL / "miniswe").glob("*.json")), BY_WORDS).sessions
    assert [len(session.rounds) for session in sessions] == [10, 2]
