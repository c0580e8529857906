"""Rollouts of Codex and chats of Gemini CLI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from marsbench.core.session import Cut
from marsbench.formats.fallback import Fallback
from marsbench.formats.gathering import ImportResult, gather
from marsbench.formats.table import contents_of, recognised
from workload.logs import (
    CODEX,
    GEMINI,
    codex,
    codex_asks,
    codex_count,
    codex_meta,
    codex_said,
    gemini,
    gemini_user,
    iso,
)
from workload.test_claude_code import lengths, tools
from workload.test_cli import run
from workload.trajectories import BY_WORDS, NOTHING, jsonl, save


def found(path: Path, fallback: Fallback = NOTHING) -> ImportResult:
    return gather([contents_of(recognised(path), fallback)])


def rollout(folder: Path, *lines: Any, fallback: Fallback = NOTHING) -> ImportResult:
    return found(jsonl(folder / "rollout-x.jsonl", *lines), fallback)


def test_a_reply_ends_with_its_usage_and_tools_run_from_there(tmp_path: Path) -> None:
    result = rollout(tmp_path, *CODEX)
    (session,) = result.sessions
    assert session.id == "c1"
    assert lengths(session) == [(9_000, 80), (9_300, 40), (9_400, 9)]
    assert tools(session) == [[("shell", 2.0), ("apply_patch", 3.0)], [("user", 60.0)], []]
    stated = result.accounts[0].stated
    assert (stated.span_s, stated.num_calls) == (80.0, 3)
    assert (stated.cached_tokens, stated.reasoning_tokens) == (18_300, 20)
    assert (result.repairs, result.differences) == ((), ())


def test_usage_that_is_said_again_is_one_call(tmp_path: Path) -> None:
    again = codex_count(14, (9_300, 40), 18_420, cached=9_000)
    empty = codex(15, "event_msg", type="token_count", info=None)
    session = rollout(tmp_path, *CODEX[:9], again, empty, *CODEX[9:]).sessions[0]
    assert lengths(session) == [(9_000, 80), (9_300, 40), (9_400, 9)]


def test_a_compaction_is_a_call_and_begins_the_context_anew(tmp_path: Path) -> None:
    lines = [
        *CODEX[:9], codex_count(20, (9_340, 500), 28_260), codex(20.5, "compacted", message="so"),
        codex_count(20.6, (0, 0), 28_261),
        codex_said(21, "go on"), codex_said(30, "yes", "assistant"),
        codex_count(30, (12_000, 9), 40_269, cached=4_000),
    ]  # fmt: skip
    session = rollout(tmp_path, *lines).sessions[0]
    assert lengths(session) == [(9_000, 80), (9_300, 40), (9_340, 500), (12_000, 9)]
    assert session.rounds[3].cut == Cut(4_000, 4_000)


def test_what_a_fork_repeats_of_its_parent_is_no_call_of_its_own(tmp_path: Path) -> None:
    replayed = [{**line, "timestamp": codex_meta(0.4)["timestamp"]} for line in CODEX[1:9]]
    own = [
        codex_said(30, "you look"), codex_said(35, "I looked", "assistant"),
        codex_count(35, (9_500, 7), 27_927),
    ]  # fmt: skip
    result = rollout(tmp_path, codex_meta(forked_from_id="c0"), *replayed, *own)
    assert lengths(result.sessions[0]) == [(9_500, 7)]
    assert result.notes[-1].endswith("begins with 2 calls of the session that it comes from; they "
                                     "are left out")  # fmt: skip


def test_a_reply_that_was_broken_off_has_no_usage_and_is_left_out(tmp_path: Path) -> None:
    broken = [codex_said(14, "look"), codex_asks(16, "k9")]
    result = rollout(tmp_path, *CODEX[:9], *broken, *CODEX[9:])
    assert lengths(result.sessions[0]) == [(9_000, 80), (9_300, 40), (9_400, 9)]
    assert result.accounts[0].repairs == ("a call without usage, left out",)
    assert result.differences[0].endswith("3 rounds of 4 recorded calls of a model")
    # The time that it took is in the pause: from the reply before it to the user's next words.
    assert tools(result.sessions[0])[1] == [("user", 60.0)]


def test_a_rollout_without_usage_needs_a_tokenizer(tmp_path: Path) -> None:
    bare = [line for line in CODEX if line["type"] != "event_msg"]
    (problem,) = rollout(tmp_path, *bare).problems
    assert problem.endswith("call 0 has no recorded token count, give --tokenizer NAME_OR_PATH")
    session = rollout(tmp_path, *bare, fallback=BY_WORDS).sessions[0]
    assert len(session.rounds) == 3
    assert session.rounds[0].append_tokens == 2


def test_a_chat_counts_thoughts_beside_its_output_and_times_tools_by_their_stamp(
    tmp_path: Path,
) -> None:
    result = found(save(tmp_path / "session-1.json", GEMINI))
    (session,) = result.sessions
    assert lengths(session) == [(9_000, 90), (9_200, 30)]
    assert tools(session) == [[("read_file", 1.0), ("glob", 4.0)], []]
    stated = result.accounts[0].stated
    assert (stated.span_s, stated.calls_s, stated.num_calls) == (15.0, 11.0, 2)
    assert (stated.cached_tokens, stated.reasoning_tokens) == (9_000, 10)


def test_a_chat_in_lines_takes_a_message_as_it_was_last(tmp_path: Path) -> None:
    head = {key: value for key, value in GEMINI.items() if key != "messages"}
    usage = {"input": 9_000, "output": 80, "cached": 0, "total": 9_080}
    first = gemini("2", 5)
    last = gemini("2", 5, usage, [("glob", 9)])
    path = jsonl(
        tmp_path / "s.jsonl", head, gemini_user("1", 0), first, last,
        {"$set": {"lastUpdated": "x"}}, gemini_user("3", 69), gemini("4", 72, usage),
    )  # fmt: skip
    (session,) = found(path).sessions
    assert tools(session) == [[("glob", 4.0), ("user", pytest.approx(64.0))], []]


def test_what_late_versions_write_as_the_user_s_is_told_apart(tmp_path: Path) -> None:
    """As 0.61 writes them: a history that is set anew, and answers of tools."""
    usage = {"input": 129, "output": 30, "cached": 64, "thoughts": 5, "tool": 0}
    answer = [{"functionResponse": {"id": "x", "name": "ls", "response": {"output": "a"}}}]
    lines = [
        {"sessionId": "g", "projectHash": "x", "kind": "main"},
        {"$set": {"messages": [gemini_user("0", 0)], "lastUpdated": iso(0)}},
        gemini_user("1", 1),
        gemini("2", 4, usage),
        {"$set": {"lastUpdated": iso(4)}},
        gemini("2", 4, usage, [("ls", 6)]),
        {**gemini_user("3", 6.5), "content": answer},
        gemini("4", 9, {**usage, "input": 244}),
        {"$set": {"messages": [gemini_user("0", 0), gemini_user("5", 9)]}},
        {"$rewindTo": "4"},
        gemini_user("6", 20),
        gemini("7", 24, {**usage, "input": 90}),
    ]
    (one,) = found(jsonl(tmp_path / "session-1.jsonl", *lines)).sessions
    assert lengths(one) == [(129, 35), (244, 35), (90, 35)]
    assert tools(one) == [[("ls", 2.0), ("client_gap", 2.5)], [("user", 11.0)], []]


def test_a_message_that_is_none_costs_that_message(tmp_path: Path) -> None:
    messages = [*GEMINI["messages"], {"id": "9", "type": "gemini", "timestamp": "noon"}]
    result = found(save(tmp_path / "s.json", {**GEMINI, "messages": messages}))
    assert len(result.sessions[0].rounds) == 2
    assert result.accounts[0].repairs == ("a message that cannot be read",)


def test_show_tells_cached_and_reasoning_tokens_apart(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "r.jsonl", *CODEX)
    assert run("import", path, "-o", tmp_path / "w").exit_code == 0
    shown = " ".join(run("show", tmp_path / "w").stdout.split())
    assert "18,300 of prompts were read from a cache, 20 of outputs were reasoning" in shown
