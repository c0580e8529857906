"""OpenHands trajectories: lengths by the response's id, tool times by the time stamps."""

from __future__ import annotations

from pathlib import Path

import pytest

from marsbench.core.session import Cut, Session
from marsbench.formats.fallback import Fallback
from marsbench.formats.openhands import import_openhands
from workload.trajectories import (
    BY_WORDS,
    NOTHING,
    action,
    answer,
    conversation,
    event,
    jsonl,
    system,
    user,
    v0_action,
    v0_observation,
    v0_row,
)

REAL = Path(__file__).parents[3] / "shared" / "traces" / "openhands_v0"


def one(path: Path, fallback: Fallback = NOTHING) -> Session:
    result = import_openhands([path], fallback)
    assert result.problems == ()
    (session,) = result.sessions
    return session


def tools(session: Session) -> list[list[tuple[str, float]]]:
    return [[(t.name, pytest.approx(t.floor_s)) for t in rnd.tools] for rnd in session.rounds]


def lengths(session: Session) -> list[tuple[int, int]]:
    return [(prompt.num_tokens, prompt.output_tokens) for prompt in session.prompts()]


TALK = [
    system(), user(1), action("a", "r1", 5), answer("a", 6.5),
    action("b", "r2", 9), action("c", "r2", 9.1, "file_editor"), answer("b", 10), answer("c", 12),
    action("d", "r3", 15, "finish"),
]  # fmt: skip
USAGE = {"r1": (100, 10), "r2": (130, 20), "r3": (170, 5)}


def test_v1_joins_usage_by_response_and_times_by_action(tmp_path: Path) -> None:
    session = one(conversation(tmp_path / "c1", TALK, USAGE))
    assert session.id == "conv-c1"
    assert lengths(session) == [(100, 10), (130, 20), (170, 5)]
    # Calls of one response that ran one after another end when they ended.
    expected = [[("terminal", 1.5)], [("terminal", 1.0), ("file_editor", 3.0)], []]
    assert tools(session) == expected


def test_v1_conversations_are_found_at_any_depth(tmp_path: Path) -> None:
    for name in ("b", "a"):
        conversation(tmp_path / "runs" / name, TALK, USAGE)
    found = import_openhands([tmp_path], NOTHING)
    assert [session.id for session in found.sessions] == ["conv-a", "conv-b"]


def test_a_tool_that_failed_ended_with_its_error(tmp_path: Path) -> None:
    error = event("AgentErrorEvent", 7, tool_call_id="call-a", source="environment", error="no")
    talk = [system(), user(1), action("a", "r1", 5), error, action("b", "r2", 9)]
    session = one(conversation(tmp_path / "c", talk, USAGE))
    assert tools(session) == [[("terminal", 2.0)], []]


def test_the_user_s_pause_is_a_call_of_its_own(tmp_path: Path) -> None:
    asks = event("MessageEvent", 5, llm_response_id="r1", llm_message={"content": "which one?"})
    talk = [system(), user(1), asks, user(25, "the second"), action("b", "r2", 30)]
    session = one(conversation(tmp_path / "c", talk, USAGE))
    assert tools(session) == [[("user", 20.0)], []]


def test_a_condensation_is_a_call_and_cuts_the_context(tmp_path: Path) -> None:
    condensed = event("Condensation", 12, llm_response_id="r3", summary="so far", source="agent")
    talk = [*TALK[:4], condensed, action("e", "r4", 20)]
    usage = {"r1": (100, 10), "r3": (195, 30), "r4": (260, 5)}
    path = conversation(tmp_path / "c", talk, usage)
    # Both prompts are longer than the history before them, and neither goes on from it.
    assert lengths(one(path)) == [(100, 10), (195, 30), (260, 5)]
    assert [rnd.cut for rnd in one(path).rounds] == [None, Cut(0, 0), Cut(0, 0)]
    shared = one(path, BY_WORDS).prefix_tokens
    assert one(path, BY_WORDS).rounds[2].cut == Cut(shared, shared)


def test_usage_without_an_event_is_noted(tmp_path: Path) -> None:
    path = conversation(tmp_path / "c", TALK, {**USAGE, "r9": (1, 1)})
    result = import_openhands([path], NOTHING)
    assert result.notes == (f"{path}: 1 of 4 calls of a model led to no event, and is left out",)


def test_a_length_that_was_not_recorded_is_never_guessed(tmp_path: Path) -> None:
    path = conversation(tmp_path / "c", TALK, {"r1": (100, 10), "r3": (170, 5)})
    result = import_openhands([path], NOTHING)
    (problem,) = result.problems
    assert problem.endswith("call 1 has no recorded token count, give --tokenizer NAME_OR_PATH")
    session = one(path, BY_WORDS)
    # The recorded prompt and output, and the answer's one word.
    assert lengths(session)[1][0] == 100 + 10 + 1


def test_a_tokenizer_tells_what_sessions_share(tmp_path: Path) -> None:
    paths = [conversation(tmp_path / name, TALK, USAGE) for name in ("a", "b")]
    first, second = import_openhands(paths, BY_WORDS).sessions
    assert first.prefix_group == second.prefix_group
    assert first.prefix_tokens == len(["you", "are", "an", "agent", '[{"name":', '"terminal"}]'])
    assert one(paths[0]).prefix_group is None


def test_a_tool_that_never_ended_needs_a_stated_time(tmp_path: Path) -> None:
    talk = [system(), user(1), action("a", "r1", 5), action("b", "r2", 9)]
    path = conversation(tmp_path / "c", talk, USAGE)
    (problem,) = import_openhands([path], NOTHING).problems
    assert problem.endswith("event a has no recorded tool time, give --tool-time SECONDS")
    assert tools(one(path, Fallback(tool_s=7.0)))[0] == [("terminal", 7.0)]


def test_a_broken_event_is_named_by_its_file(tmp_path: Path) -> None:
    path = conversation(tmp_path / "c", TALK, USAGE)
    (path / "events" / "event-00003-x.json").write_text(
        '{"kind": "ObservationEvent", "timestamp": "noon"}'
    )
    (problem,) = import_openhands([path], NOTHING).problems
    assert "c: event-00003-x.json: timestamp: should be a valid datetime" in problem


def v1_row(**fields: object) -> dict[str, object]:
    usages = [
        {"response_id": name, "prompt_tokens": prompt, "completion_tokens": output}
        for name, (prompt, output) in USAGE.items()
    ]
    return {"instance_id": "task-1", "history": TALK, "metrics": {"token_usages": usages}, **fields}


def test_v1_rows_of_an_evaluation_are_read_as_conversations_are(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "output.jsonl", v1_row(), v1_row(history=[], error="No\nruntime"))
    result = import_openhands([path], NOTHING)
    assert result.problems == (f"{path}:2: holds no call of a model (its error: No)",)
    (session,) = result.sessions
    assert lengths(session) == [(100, 10), (130, 20), (170, 5)]
    assert tools(session) == [[("terminal", 1.5)], [("terminal", 1.0), ("file_editor", 3.0)], []]


def test_v1_counted_by_service_before_it_counted_by_usage(tmp_path: Path) -> None:
    path = conversation(tmp_path / "c", TALK, USAGE)
    state = path / "base_state.json"
    state.write_text(state.read_text().replace("usage_to_metrics", "service_to_metrics"))
    assert lengths(one(path)) == [(100, 10), (130, 20), (170, 5)]


def test_a_clock_that_stepped_back_costs_one_time(tmp_path: Path) -> None:
    talk = [*TALK[:3], answer("a", 4.5), *TALK[4:]]
    result = import_openhands([conversation(tmp_path / "c", talk, USAGE)], NOTHING)
    assert tools(result.sessions[0])[0] == [("terminal", 0.0)]
    assert result.accounts[0].repairs == ("a clock that stepped back",)


def test_a_user_who_comes_back_after_the_end_was_away_until_then(tmp_path: Path) -> None:
    talk = [*TALK, answer("d", 15.1), user(1815, "one more thing"), action("e", "r4", 1820)]
    session = one(conversation(tmp_path / "c", talk, {**USAGE, "r4": (200, 3)}))
    assert tools(session)[2] == [("finish", 0.1), ("user", 1800.0)]
    # What finishes is often not answered at all.
    session = one(conversation(tmp_path / "d", [*TALK, *talk[-2:]], {**USAGE, "r4": (200, 3)}))
    assert tools(session)[2] == [("user", 1800.0)]


def test_v0_without_tool_metadata_takes_the_counted_calls_in_their_order(tmp_path: Path) -> None:
    bare = [{**entry, "tool_call_metadata": None} for entry in HISTORY]
    result = import_openhands([jsonl(tmp_path / "o.jsonl", v0_row(bare, USAGE))], NOTHING)
    assert (result.problems, result.differences) == ((), ())
    assert lengths(result.sessions[0]) == [(100, 10), (130, 20), (170, 5)]
    assert tools(result.sessions[0]) == [[("run", 0.5)], [("run", 5.0)], []]


def test_calls_that_were_counted_and_are_no_round_are_said(tmp_path: Path) -> None:
    path = conversation(tmp_path / "c", TALK, {**USAGE, "r9": (1, 1)})
    result = import_openhands([path], NOTHING)
    assert result.differences == (f"{path}: 3 rounds of 4 recorded calls of a model",)


def test_a_folder_without_conversations_says_so(tmp_path: Path) -> None:
    (problem,) = import_openhands([tmp_path], NOTHING).problems
    assert "holds no conversation" in problem


HISTORY = [
    {"id": 0, "timestamp": "2026-01-01T10:00:00", "source": "agent", "action": "system",
     "args": {"content": "be good"}},
    {"id": 1, "timestamp": "2026-01-01T10:00:01", "source": "user", "action": "message",
     "args": {"content": "fix it"}},
    v0_action(2, 5, "r1", command="ls"), v0_observation(2, 5.5),
    v0_action(4, 9, "r2", command="make"), v0_observation(4, 14),
    v0_action(6, 20, "r3", "finish"),
]  # fmt: skip


def test_v0_joins_usage_by_response_and_times_by_cause(tmp_path: Path) -> None:
    session = one(jsonl(tmp_path / "output.jsonl", v0_row(HISTORY, USAGE)))
    assert session.id == "task-1"
    assert lengths(session) == [(100, 10), (130, 20), (170, 5)]
    assert tools(session) == [[("execute_run", 0.5)], [("execute_run", 5.0)], []]


def test_v0_a_message_of_the_agent_takes_the_usage_that_no_action_names(tmp_path: Path) -> None:
    asks = v0_action(6, 20, None, "message", content="which?")
    says = {**HISTORY[1], "id": 7, "timestamp": "2026-01-01T10:00:50"}
    history = [*HISTORY[:6], asks, says, v0_action(8, 60, "r4")]
    session = one(jsonl(tmp_path / "o.jsonl", v0_row(history, {**USAGE, "r4": (200, 3)})))
    assert lengths(session) == [(100, 10), (130, 20), (170, 5), (200, 3)]
    assert tools(session)[2] == [("user", 30.0)]


def test_v0_rows_that_are_none_are_named_by_line(tmp_path: Path) -> None:
    good = v0_row(HISTORY, USAGE)
    path = jsonl(tmp_path / "o.jsonl", good, "{", {"instance_id": "x"}, good)
    result = import_openhands([path], NOTHING)
    assert [problem.removeprefix(str(path)) for problem in result.problems] == [
        ":2: is cut short: what begins before column 2 has no end; copy or export it again",
        ":3: history: is missing",
        ":4: id: 'task-1' was already imported",
    ]
    assert len(result.sessions) == 1


def test_v0_a_history_that_failed_before_the_model_was_asked_says_so(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "o.jsonl", v0_row(HISTORY[:2], {}))
    assert import_openhands([path], NOTHING).problems == (f"{path}:1: holds no call of a model",)


@pytest.mark.skipif(not REAL.is_dir(), reason="the recorded traces are not beside the repository")
def test_the_real_histories_come_in_as_recorded() -> None:
    result = import_openhands(sorted(REAL.glob("*.gz")), NOTHING)
    assert result.problems == ()
    found = {s.id: (len(s.rounds), lengths(s)[0], lengths(s)[-1]) for s in result.sessions}
    assert found == {
        "ponylang__ponyc-4595": (23, (5920, 128), (33459, 227)),
        "ponylang__ponyc-4593": (33, (5549, 88), (19391, 136)),
        "ponylang__ponyc-4588": (49, (5282, 117), (27127, 55)),
    }
    last = result.sessions[-1]
    assert max(t.floor_s for r in last.rounds for t in r.tools) == pytest.approx(265.462994)
    assert len(result.notes) == 2  # one reply in each of two led to no action
