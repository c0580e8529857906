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
from marsbench.formats.sweagent import GAVE_UP, REBUILT, import_sweagent
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


def test_a_clock_that_stepped_back_costs_its_one_time_alone(tmp_path: Path) -> None:
    path = mini(tmp_path / "x.traj.json", [*RECORDED[:3], said("tool", "x", 99.0), *RECORDED[4:]])
    result = import_miniswe([path], NOTHING)
    assert tool_s(one(result)) == [[0.0], [1.0, 10.0], []]
    said_of_it = "call 0 was answered 1 s before it was asked; its time is taken as 0 s"
    assert result.repairs == (f"{path}: {said_of_it}",)
    # A time that was stated for what nobody timed is better than none.
    assert tool_s(one(import_miniswe([path], TIMES)))[0] == [2.0]


def test_one_missing_time_costs_no_session_that_has_others(tmp_path: Path) -> None:
    path = mini(tmp_path / "x.traj.json", [*RECORDED[:3], said("tool", "x"), *RECORDED[4:]])
    result = import_miniswe([path], NOTHING)
    assert tool_s(one(result))[0] == [0.0]
    assert result.accounts[0].repairs == ("a time that is missing",)


def lost(usage: tuple[int, int] | None = (75, 3)) -> dict[str, Any]:
    """The complaint about a reply without a tool call, which carries that reply."""
    extra: dict[str, Any] = {"interrupt_type": "FormatError"}
    if usage:
        extra["response"] = {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}}
    return {"role": "user", "content": "that was no call", "extra": extra}


def calls_counted(number: int) -> dict[str, Any]:
    return {"info": {"model_stats": {"api_calls": number}}}


def test_a_reply_that_could_not_be_parsed_is_a_round_without_a_tool(tmp_path: Path) -> None:
    messages = [*RECORDED[:4], lost(), *RECORDED[4:]]
    path = mini(tmp_path / "x.traj.json", messages, **calls_counted(4))
    result = import_miniswe([path], NOTHING)
    session = one(result)
    assert lengths(session) == [(50, 4), (75, 3), (70, 6), (90, 2)]
    assert tool_s(session) == [[0.75], [], [1.0, 10.0], []]
    # The reply is in no later prompt.
    assert session.rounds[2].cut == Cut(70, 70)
    assert result.differences == ()


def test_a_lost_reply_of_which_nothing_is_kept_is_said(tmp_path: Path) -> None:
    messages = [*RECORDED[:4], lost(None), *RECORDED[4:]]
    path = mini(tmp_path / "x.traj.json", messages, **calls_counted(4))
    result = import_miniswe([path], NOTHING)
    assert len(one(result).rounds) == 3
    assert result.differences == (f"{path}: 3 rounds of 4 recorded calls of a model",)


def stamped(message: dict[str, Any], at: float) -> dict[str, Any]:
    return {**message, "timestamp": at}


def test_miniswe_1_17_stamps_messages_and_answers_as_the_user(tmp_path: Path) -> None:
    acts, talks = "look:\n```bash\nls\n```", "I only talk"
    usage = {"extra": {"response": {"usage": {"prompt_tokens": 60, "completion_tokens": 5}}}}
    messages = [
        stamped(said("system", "you are an agent"), 1.0), stamped(said("user", "fix it"), 1.0),
        stamped(said("assistant", acts) | usage, 9.0), stamped(said("user", "a.py"), 12.0),
        stamped(said("assistant", talks) | usage, 20.0), stamped(said("user", "no call"), 20.1),
        stamped(said("assistant", acts) | usage, 30.0), stamped(said("user", "done"), 31.0),
    ]  # fmt: skip
    record = {"messages": messages, "trajectory_format": "mini-swe-agent-1", **calls_counted(3)}
    session = one(import_miniswe([save(tmp_path / "x.traj.json", record)], NOTHING))
    assert lengths(session) == [(60, 5)] * 3
    assert tool_s(session) == [[3.0], [], []]


def test_miniswe_reads_the_responses_api(tmp_path: Path) -> None:
    def response(at: float, prompt: int) -> dict[str, Any]:
        call = {"type": "function_call", "call_id": "c", "name": "bash", "arguments": "ls -l"}
        usage = {"input_tokens": prompt, "output_tokens": 7}
        return {"object": "response", "output": [call], "usage": usage, "extra": {"timestamp": at}}

    answer = {"type": "function_call_output", "call_id": "c", "output": "a b"}
    messages = [
        said("system", "you are an agent"), said("user", "fix it"), response(10.0, 40),
        {**answer, "extra": {"timestamp": 12.5}}, response(20.0, 55),
    ]  # fmt: skip
    session = one(import_miniswe([mini(tmp_path / "x.traj.json", messages)], NOTHING))
    assert lengths(session) == [(40, 7), (55, 7)]
    assert tool_s(session) == [[2.5], []]


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


def test_a_step_that_never_asked_the_model_is_none(tmp_path: Path) -> None:
    gave_up = {**step("exit_cost", None), "response": "Exit due to cost limit", "query": [{}]}
    first = [said("system", "you are an agent"), said("user", "fix it")]
    second = [*first, reply("I do it"), said("tool", "a.py b.py")]
    steps = [step("ls", query=first), step("cat", query=second), gave_up]
    record = {"trajectory": steps, "history": [], **calls_counted(2)}
    result = import_sweagent([save(tmp_path / "t.traj", record)], BY_WORDS)
    assert lengths(one(result)) == [(6, 3), (11, 3)]
    assert result.differences == ()
    assert result.notes == (f"{tmp_path / 't.traj'}: {GAVE_UP}",)
    old = [*HISTORY, reply("Exit due to cost limit"), said("user", "bye")]
    record = {"trajectory": [step("ls"), step("edit"), gave_up | {"query": None}], "history": old}
    assert len(one(import_sweagent([save(tmp_path / "o.traj", record)], BY_WORDS)).rounds) == 2


def test_sweagent_1_0_keeps_what_the_next_step_sends(tmp_path: Path) -> None:
    first = [said("system", "you are an agent"), said("user", "fix it")]
    second = [*first, reply("I do it"), said("tool", "a.py b.py")]
    third = [*second, reply("I do it"), said("tool", "x")]
    steps = [{**step("ls"), "messages": second}, {**step("cat"), "messages": third}]
    session = one(import_sweagent([save(tmp_path / "t.traj", {"trajectory": steps})], BY_WORDS))
    assert lengths(session) == [(6, 3), (11, 3)]
    assert [rnd.cut for rnd in session.rounds] == [None, None]


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


def test_many_trajectories_may_be_in_one_file(tmp_path: Path) -> None:
    record = {"messages": RECORDED, "trajectory_format": "mini-swe-agent-1.1"}
    path = tmp_path / "all.jsonl"
    path.write_text("".join(json.dumps(record | {"instance_id": n}) + "\n" for n in (7, 8)))
    assert [s.id for s in import_miniswe([path], NOTHING).sessions] == ["7", "8"]
