"""Session logs of Claude Code: replies over several lines, sub-agents, compactions, pauses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from marsbench.core.session import Cut, Session
from marsbench.formats.fallback import Fallback
from marsbench.formats.gathering import ImportResult, gather
from marsbench.formats.table import contents_of, files_of, format_named
from workload.logs import CLAUDE, EPOCH_S, claude_reply, claude_result, claude_user, iso
from workload.trajectories import BY_WORDS, NOTHING, jsonl


def found(path: Path, fallback: Fallback = NOTHING) -> ImportResult:
    return gather([contents_of(one, fallback) for one in files_of([path])])


def one(folder: Path, *lines: Any, fallback: Fallback = NOTHING) -> Session:
    result = found(jsonl(folder / "log.jsonl", *lines), fallback)
    assert result.problems == ()
    (session,) = result.sessions
    return session


def tools(session: Session) -> list[list[tuple[str, float]]]:
    return [[(t.name, pytest.approx(t.floor_s)) for t in rnd.tools] for rnd in session.rounds]


def lengths(session: Session) -> list[tuple[int, int]]:
    return [(prompt.num_tokens, prompt.output_tokens) for prompt in session.prompts()]


ASKS = claude_user(0, "fix it")


def test_one_reply_is_many_lines_and_its_prompt_is_all_that_was_read(tmp_path: Path) -> None:
    begun = claude_reply(3, "m1", (15_000, 1), text="I", cached=14_000, stop=None)
    ended = claude_reply(4, "m1", (15_000, 80), uses=[("t1", "Bash")], cached=14_000)
    last = claude_reply(12, "m2", (15_200, 30), text="done", cached=15_000)
    result = found(jsonl(tmp_path / "a.jsonl", ASKS, begun, ended, claude_result(7, "t1"), last))
    (session,) = result.sessions
    assert lengths(session) == [(15_000, 80), (15_200, 30)]
    # From the reply's last line, and not from its first.
    assert tools(session) == [[("Bash", 3.0)], []]
    # What the first call found in a cache is what sessions share.
    assert (session.prefix_group, session.prefix_tokens) == ("claude-code-14000", 14_000)
    stated = result.accounts[0].stated
    assert (stated.span_s, stated.num_calls, stated.calls_s) == (12.0, 2, 9.0)
    assert stated.cached_tokens == 29_000
    assert (result.repairs, result.differences) == ((), ())


def test_it_arrives_when_its_first_request_was_sent(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", ASKS, claude_reply(3, "m1", (900, 9), text="a"))
    late = [claude_user(60, "and this"), claude_reply(63, "m2", (800, 9), text="b")]
    jsonl(tmp_path / "b.jsonl", *late)
    assert [one.arrival_s for one in found(tmp_path).sessions] == [0.0, 60.0]
    (source,) = format_named("claude-code").contents(tmp_path / "a.jsonl", NOTHING).sources
    assert source.read().session.arrival_s == EPOCH_S


def test_the_users_pause_is_from_the_reply_to_what_they_typed_last(tmp_path: Path) -> None:
    session = one(
        tmp_path, ASKS, claude_reply(4, "m1", (900, 9), text="which one?"),
        claude_user(10, "<local-command-stdout>", isMeta=True), claude_user(64, "the second"),
        claude_reply(70, "m2", (1000, 9), text="done"),
        claude_user(75, "a reminder", isMeta=True), claude_reply(80, "m3", (1100, 9), text="yes"),
    )  # fmt: skip
    assert tools(session) == [[("user", 60.0)], [("client_gap", 5.0)], []]


def test_a_tool_that_was_broken_off_is_the_users_pause(tmp_path: Path) -> None:
    session = one(
        tmp_path, ASKS, claude_reply(4, "m1", (900, 9), uses=[("t", "Bash")]),
        claude_user(24, "no, stop"), claude_reply(30, "m2", (1000, 9), text="done"),
    )  # fmt: skip
    assert tools(session) == [[("Bash", 0.0), ("user", 20.0)], []]


def test_tools_that_ended_while_the_reply_was_written_took_nothing(tmp_path: Path) -> None:
    lines = [
        ASKS, claude_reply(4, "m1", (900, 5), uses=[("t1", "Read")], stop=None),
        claude_result(5, "t1"), claude_reply(8, "m1", (900, 40), uses=[("t2", "Bash")]),
        claude_result(9, "t2"), claude_reply(12, "m2", (1000, 9), text="done"),
    ]  # fmt: skip
    result = found(jsonl(tmp_path / "a.jsonl", *lines))
    assert tools(result.sessions[0]) == [[("Read", 0.0), ("Bash", 1.0)], []]
    assert result.repairs == ()


def test_a_compaction_keeps_what_the_next_call_reads_from_the_cache(tmp_path: Path) -> None:
    boundary = {
        "type": "system", "subtype": "compact_boundary", "uuid": "c", "parentUuid": None,
        "sessionId": "s1", "timestamp": iso(50), "compactMetadata": {"preTokens": 90_000},
    }  # fmt: skip
    session = one(
        tmp_path, ASKS, claude_reply(4, "m1", (20_000, 900), text="long " * 9), boundary,
        claude_user(51, "what was done", isCompactSummary=True), claude_user(60, "go on"),
        claude_reply(65, "m2", (30_000, 9), text="yes", cached=14_000),
    )  # fmt: skip
    # The prompt is longer than the one before, and nevertheless another one.
    assert session.rounds[1].cut == Cut(14_000, 14_000)
    assert lengths(session)[1] == (30_000, 9)


def test_a_sub_agent_among_the_lines_runs_in_the_call_that_asked_it(tmp_path: Path) -> None:
    session = one(tmp_path, *CLAUDE)
    first, second = session.rounds[0].tools
    assert (first.name, first.floor_s) == ("Bash", 1.0)
    assert second.child is not None
    assert lengths(second.child) == [(3_000, 9)]
    # Its call was answered after 3 s, of which it ran 1.5.
    assert second.child.arrival_s == pytest.approx(1.5)


@pytest.mark.parametrize("folder", ["s1/subagents", "."])
def test_a_sub_agent_in_a_file_of_its_own_is_read_with_its_session(
    tmp_path: Path, folder: str
) -> None:
    inside = {"isSidechain": True, "agentId": "a7"}
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    agent = jsonl(
        tmp_path / folder / "agent-a7.jsonl", claude_user(4.5, "find it", **inside),
        claude_reply(6, "x1", (3_000, 9), uses=[("u", "Grep")], **inside),
        claude_result(6.5, "u", **inside), claude_reply(9, "x2", (3_100, 9), text="it", **inside),
    )  # fmt: skip
    jsonl(
        tmp_path / "s1.jsonl", ASKS, claude_reply(4, "m1", (900, 9), uses=[("t", "Task")]),
        claude_result(9.5, "t", agent="a7"), claude_reply(12, "m2", (1000, 9), text="done"),
    )  # fmt: skip
    result = found(tmp_path)
    (session,) = result.sessions
    (call,) = session.rounds[0].tools
    assert call.child is not None
    assert tools(call.child) == [[("Grep", 0.5)], []]
    assert (result.unawaited, result.differences) == (0, ())
    assert result.accounts[0].stated.num_calls == 4
    # Without its session it is one itself.
    (tmp_path / "s1.jsonl").unlink()
    assert [one.id for one in found(agent).sessions] == ["agent-a7"]


def test_sub_agents_that_ran_at_once_are_branches_that_begin_when_they_did(tmp_path: Path) -> None:
    """All answers are written when the last is back: the first did not begin late for that."""

    def agent(name: str, begins: float, ends: float) -> list[dict[str, Any]]:
        inside = {"isSidechain": True, "agentId": name}
        return [
            claude_user(begins, f"find {name}", **inside),
            claude_reply(ends, f"x-{name}", (3_000, 9), text="it", **inside),
        ]

    uses = [("t1", "Task"), ("t2", "Task"), ("t3", "Task")]
    session = one(
        tmp_path, ASKS, claude_reply(4, "m1", (900, 9), uses=uses),
        *agent("a1", 4.5, 9), *agent("a2", 5, 34), *agent("a3", 6, 16),
        *(claude_result(35, f"t{n}", agent=f"a{n}") for n in (1, 2, 3)),
        claude_reply(40, "m2", (1000, 9), text="done"),
    )  # fmt: skip
    calls = session.rounds[0].tools
    children = [call.child for call in calls if call.child is not None]
    assert [child.arrival_s for child in children] == pytest.approx([1.5, 2.0, 3.0])
    assert len(calls) == 3


def test_a_sub_agent_that_goes_on_is_none_that_was_waited_for(tmp_path: Path) -> None:
    inside = {"isSidechain": True, "agentId": "a7"}
    result = found(jsonl(
        tmp_path / "s1.jsonl", ASKS, claude_reply(4, "m1", (900, 9), uses=[("t", "Task")]),
        claude_user(4.5, "find it", **inside), claude_result(4.6, "t", agent="a7"),
        claude_reply(12, "m2", (1000, 9), text="started"),
        claude_reply(40, "x1", (3_000, 9), text="it", **inside),
    ))  # fmt: skip
    assert result.unawaited == 1
    assert tools(result.sessions[0])[0] == [("Task", pytest.approx(0.6))]
    assert result.differences == (f"{tmp_path}/s1.jsonl: 2 rounds of 3 recorded calls of a model",)


def test_what_claude_code_says_itself_is_no_call(tmp_path: Path) -> None:
    error = claude_reply(6, "e", (4, 0), text="API Error", isApiErrorMessage=True)
    error["message"]["model"] = "<synthetic>"
    session = one(tmp_path, ASKS, error, claude_reply(9, "m1", (900, 9), text="yes"))
    assert lengths(session) == [(900, 9)]


def test_a_usage_of_a_replys_first_words_is_said_and_counted_by_a_tokenizer(
    tmp_path: Path,
) -> None:
    begun = claude_reply(3, "m1", (900, 2), text="some word " * 50, stop=None)
    path = jsonl(tmp_path / "a.jsonl", ASKS, begun)
    result = found(path)
    assert result.repairs == (
        f"{path}: call 0 counts 2 tokens of 500 characters; give --tokenizer NAME_OR_PATH",
    )
    assert lengths(found(path, BY_WORDS).sessions[0]) == [(900, 100)]


def test_a_line_that_is_none_costs_that_line(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", ASKS, claude_reply(3, "m1", (900, 9), text="a"), '{"ty')
    result = found(path)
    assert len(result.sessions) == 1
    assert result.accounts[0].repairs == ("a line that cannot be read",)


def test_a_log_without_a_reply_says_so(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", ASKS)
    assert found(path).problems == (f"{path}: holds no call of a model",)
