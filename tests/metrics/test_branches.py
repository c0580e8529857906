"""Sessions that fan out: the way that took longest, and who waited at a join; by hand."""

from __future__ import annotations

import pytest

from marsbench.core.events import Event, ToolEnd, ToolStart
from marsbench.core.metrics.branches import branch_figures
from metrics.story import a_round, a_session, records


def an_answer(session: str, number: int, ready: float, end: float) -> list[Event]:
    return a_round(session, number, ready=ready, first=ready, end=end)


def calls(session: str, number: int, at: float, **ends: float) -> list[Event]:
    """Sub-agents by name after a round, and when each call ended."""
    named = list(enumerate(ends.items()))
    starts = [ToolStart(at, session, number, i, "branch", name) for i, (name, _) in named]
    return [*starts, *(ToolEnd(end, session, number, i, "branch") for i, (_, end) in named)]


def test_the_path_goes_through_the_branch_that_ended_last_at_every_depth() -> None:
    """0 to 2: plan; a runs 2 to 5, b 2 to 9 (itself two branches, 4 to 6 and 4 to 8); 9 to 10."""
    whole = [*an_answer("s", 0, 0, 2), *calls("s", 0, 2, a=5, b=9), *an_answer("s", 1, 9, 10)]
    nested = [*an_answer("b", 0, 2, 4), *calls("b", 0, 4, c=6, d=8), *an_answer("b", 1, 8, 9)]
    stream, rounds, sessions = records(
        a_session("s", 0, 10, rounds=whole),
        a_session("a", 2, 5, parent="s"),
        a_session("b", 2, 9, rounds=nested, parent="s"),
        a_session("c", 4, 6, parent="b"),
        a_session("d", 4, 8, parent="b"),
    )
    found = branch_figures(stream, sessions, rounds)
    assert found is not None
    assert (found["sessions"], found["fan_outs"], found["branches"]) == (1, 2, 4)
    # s0 and s1, b0 and b1, d: 2 + 1 + 2 + 1 + 4 of those and of a (3) and c (2).
    assert found["critical_rounds"]["mean"] == 5
    assert found["critical_llm_s"]["mean"] == 10
    assert found["critical_share"] == 10 / 15
    assert sorted((found["slack_s"]["n"], found["slack_s"]["max"])) == [4, 4]
    assert found["slack_s"]["mean"] == (4 + 0 + 2 + 0) / 4
    assert found["slack_share"] == pytest.approx((4 + 2) / (7 + 7 + 4 + 4))


def test_one_sub_agent_at_a_time_is_no_branch() -> None:
    whole = [*an_answer("s", 0, 0, 2), *calls("s", 0, 2, a=5), *an_answer("s", 1, 5, 6)]
    stream, rounds, sessions = records(
        a_session("s", 0, 6, rounds=whole), a_session("a", 2, 5, parent="s")
    )
    assert branch_figures(stream, sessions, rounds) is None


def test_a_join_waits_for_tools_beside_the_branches_too() -> None:
    tool = [ToolStart(2, "s", 0, 2, "test"), ToolEnd(12, "s", 0, 2, "test")]
    whole = [*an_answer("s", 0, 0, 2), *calls("s", 0, 2, a=5, b=9), *tool]
    stream, rounds, sessions = records(
        a_session("s", 0, 13, rounds=[*whole, *an_answer("s", 1, 12, 13)]),
        a_session("a", 2, 5, parent="s"),
        a_session("b", 2, 9, parent="s"),
    )
    found = branch_figures(stream, sessions, rounds)
    assert found is not None
    assert found["slack_s"]["mean"] == (7 + 3) / 2
    assert found["critical_rounds"]["mean"] == 2  # the tool was last


def test_a_session_that_did_not_finish_has_no_path() -> None:
    whole = [*an_answer("s", 0, 0, 2), *calls("s", 0, 2, a=5, b=9)]
    stream, rounds, sessions = records(
        a_session("s", 0, 9, rounds=whole, outcome="failed"),
        a_session("a", 2, 5, parent="s"),
        a_session("b", 2, 9, parent="s"),
    )
    found = branch_figures(stream, sessions, rounds)
    assert found is not None
    assert (found["sessions"], found["critical_llm_s"]["n"], found["slack_share"]) == (0, 0, None)
