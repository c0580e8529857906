"""What a server finds out about its sessions from their requests."""

from __future__ import annotations

from typing import Any

from marsbench_backends.signals import Future, Signal, ToolEnded, ToolStarted
from marsbench_backends.vllm.rounds import RoundInfo
from marsbench_backends.vllm.session_table import UNKNOWN_TOOL, SessionTable


def submit(
    table: SessionTable, session: str | None = "a", at: float = 0.0, tokens: int = 100, **sent: Any
) -> tuple[RoundInfo, list[Signal]]:
    return table.submitted("request-1", session, sent, tokens, at)


def test_rounds_are_counted() -> None:
    table = SessionTable()
    found = []
    for _ in range(3):
        info, _ = submit(table)
        table.round_ended(info, 120, 1.0, aborted=False)
        found.append(info.round)
    assert found == [0, 1, 2]


def test_what_a_client_says_is_taken() -> None:
    future = [3, 100, 20, 5.5, 1.5, 400]
    info, _ = submit(
        SessionTable(),
        marsbench_round=4,
        marsbench_last=1,
        marsbench_tools=["grep", "test"],
        marsbench_parent="p",
        marsbench_tenant="blue",
        marsbench_reusable=64,
        marsbench_future=future,
    )
    known = Future(3, 100, 20, 5.5, 1.5, 400)
    assert info == RoundInfo("a", 4, ("grep", "test"), True, "p", 64, known, "blue")


def test_a_tenant_travels_with_the_request_where_there_is_one() -> None:
    for info in (RoundInfo("a", tenant="blue"), RoundInfo("a")):
        assert RoundInfo.of_facts(info.to_extra_args()["marsbench"]) == info
    assert "tenant" not in RoundInfo("a").to_extra_args()["marsbench"]


def test_tools_may_come_as_text() -> None:
    assert submit(SessionTable(), marsbench_tools="grep, test,")[0].tools == ("grep", "test")


def test_what_is_malformed_counts_as_not_sent() -> None:
    info, _ = submit(
        SessionTable(),
        marsbench_round="first",
        marsbench_last=[],
        marsbench_tools={"grep": 1},
        marsbench_parent=7,
        marsbench_tenant=["blue"],
        marsbench_reusable=float("nan"),
        marsbench_future=[1, 2],
    )
    assert info == RoundInfo("a")


def test_a_session_may_be_named_beside_vllms_own_way() -> None:
    assert submit(SessionTable(), None, marsbench_session="b")[0].session_id == "b"
    assert submit(SessionTable(), "a", marsbench_session="b")[0].session_id == "a"


def test_a_request_of_no_session_is_one_of_its_own_and_leaves_nothing() -> None:
    table = SessionTable()
    info, _ = submit(table, None)
    assert (info.session_id, info.is_last) == ("request-1", True)
    assert table.round_ended(info, 10, 1.0, aborted=False) == []
    assert len(table) == 0


def test_what_was_computed_can_be_reused() -> None:
    table = SessionTable()
    info, _ = submit(table, tokens=100)
    table.round_ended(info, 119, 1.0, aborted=False)
    assert submit(table, tokens=300)[0].reusable_tokens == 119
    assert submit(table, tokens=80)[0].reusable_tokens == 79  # the last token is always computed


def test_tool_calls_are_the_gaps_between_rounds() -> None:
    table = SessionTable()
    info, ended = submit(table, marsbench_tools="grep")
    assert ended == []
    assert table.round_ended(info, 120, 5.0, aborted=False) == [ToolStarted(5.0, "a", "grep")]
    assert submit(table, at=7.5)[1] == [ToolEnded(7.5, "a", "grep", 2.5)]
    assert submit(table, at=8.0)[1] == []


def test_a_tool_that_nobody_named_is_unknown() -> None:
    table = SessionTable()
    info, _ = submit(table)
    assert table.round_ended(info, 1, 2.0, aborted=False) == [ToolStarted(2.0, "a", UNKNOWN_TOOL)]


def test_a_last_round_and_an_aborted_one_end_the_session() -> None:
    for sent, aborted in (({"marsbench_last": 1}, False), ({}, True)):
        table = SessionTable()
        info, _ = submit(table, **sent)
        assert table.round_ended(info, 1, 1.0, aborted=aborted) == []
        assert len(table) == 0


def test_a_session_that_is_silent_too_long_is_forgotten() -> None:
    table = SessionTable(idle_s=100.0)
    idle, _ = submit(table, "idle", at=0.0)
    table.round_ended(idle, 1, 1.0, aborted=False)
    submit(table, "busy", at=0.0)  # still under way, however long it takes
    later, _ = submit(table, "later", at=0.0)
    table.round_ended(later, 1, 60.0, aborted=False)
    assert list(table.abandoned(100.9)) == []
    assert list(table.abandoned(101.9)) == [RoundInfo("idle", 0)]
    assert len(table) == 2
    assert submit(table, "idle", at=300.0)[0].round == 0
