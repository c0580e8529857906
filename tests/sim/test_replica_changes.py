"""Replicas that leave, drain and join: rounds are served once wherever they end up, or are lost."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core import events
from marsbench.core.metrics.check import check_stream
from marsbench.core.metrics.replicas import replica_figures
from marsbench.core.metrics.rounds import rounds_of
from marsbench.core.metrics.stream import Stream
from marsbench.core.session import Round, Session, ToolCall
from marsbench.replicas.changes import ReplicaEvent
from marsbench.replicas.registry import ROUTERS
from sim.test_replicas import POLICIES, played, whole
from sim.worlds import workloads

pytestmark = pytest.mark.vllm

LONG = Session("a", (Round(600, 40, (ToolCall("t", floor_s=5.0),)), Round(50, 10)))
BOTH = [LONG, Session("b", (Round(600, 40),))]


def change(at: float, replica: int, event: Any) -> ReplicaEvent:
    return ReplicaEvent(at=at, replica=replica, event=event)


def gone(at: float, replica: int = 0) -> tuple[ReplicaEvent, ...]:
    return (change(at, replica, "leaves"),)


def kinds(seen: list[Any], session: str, *kinds: type[events.Event]) -> list[Any]:
    return [one for one in seen if isinstance(one, kinds) and one.session == session]


@settings(max_examples=10)
@given(
    workloads(),
    st.sampled_from(sorted(ROUTERS)),
    st.sampled_from(POLICIES),
    st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted),
)
def test_rounds_end_once_whatever_leaves_and_joins(
    workload: list[Session], router: str, policy: str | None, shares: list[float]
) -> None:
    end_s = played(workload, 3, router, backend=policy)[1][-1].at
    leaves, joins, drains = (share * end_s for share in shares)
    changes = (
        change(leaves, 1, "leaves"), change(joins, 1, "joins"), change(drains, 2, "drains"),
    )  # fmt: skip
    fleet, seen = played(workload, 3, router, changes=changes, backend=policy)
    assert check_stream(seen, 3 * fleet.config.num_blocks) == []
    for kind in (events.GpuFirstToken, events.GpuEnd):
        keys = Counter(event.key for event in seen if isinstance(event, kind))
        assert len(keys) == sum(len(s.rounds) for root in workload for s in root.walk())
        assert set(keys.values()) == {1}
    for event in seen:
        if isinstance(event, events.Placed):
            assert not (event.replica == 1 and leaves < event.at < joins)
            assert not (event.replica == 2 and event.at > drains)
    assert fleet.placing.views.books._rounds == {}
    assert all(
        book.prefill_tokens == book.tokens == 0
        for book in fleet.placing.views.books._books.values()
    )
    slow = played(workload, 3, router, changes=changes, backend=policy, merge=False)[1]
    assert sorted(map(whole, seen)) == sorted(map(whole, slow))


def test_a_running_round_begins_again_elsewhere_and_counts_once() -> None:
    alone = kinds(played([LONG], 2, "round-robin")[1], "a", events.GpuFirstToken, events.GpuEnd)
    first, end = alone[0].at, alone[1].at
    middle = (first + end) / 2
    _, seen = played([LONG], 2, "round-robin", changes=gone(middle))
    lost = kinds(seen, "a", events.RoundLost, events.Preempted, events.GpuStart)
    assert [type(one).__name__ for one in lost[:4]] == [
        "GpuStart", "Preempted", "RoundLost", "GpuStart",
    ]  # fmt: skip
    assert [one.resumed for one in kinds(seen, "a", events.GpuStart)] == [False, True, False]
    assert [one.replica for one in kinds(seen, "a", events.Placed)] == [0, 1, 1]
    assert kinds(seen, "a", events.GpuFirstToken)[0].at == first
    assert kinds(seen, "a", events.GpuEnd)[0].at == pytest.approx(middle + end, rel=0.02)
    found = replica_figures(Stream(seen))
    assert found is not None
    assert found["changes"] == [{"at": middle, "replica": 0, "change": "leaves"}]
    assert (found["lost_rounds"], found["moves"], found["rounds"]) == (1, 1, [1, 2])
    rounds = {record.round: record for record in rounds_of(Stream(seen))}
    assert (rounds[0].cached_tokens, rounds[1].cached_tokens) == (0, 624)


def test_the_busy_time_of_a_replica_that_left_ends_with_it() -> None:
    _, seen = played(BOTH, 2, "round-robin", changes=gone(0.001))
    busy = {one.replica: one.busy_s for one in seen if isinstance(one, events.ReplicaBusy)}
    assert busy[0] == pytest.approx(0.001)


def test_a_round_that_nobody_sends_again_fails_its_session_and_no_other() -> None:
    _, seen = played(BOTH, 2, "round-robin", ("resends=false",), gone(0.001))
    ends = {one.session: one for one in seen if isinstance(one, events.SessionEnded)}
    assert (ends["a"].outcome, ends["a"].reason) == ("failed", "replica 0 left")
    assert ends["b"].outcome == "finished"
    assert check_stream(seen) == []


def test_one_that_drains_answers_what_it_has_and_one_that_joins_is_empty() -> None:
    drains = (change(0.001, 0, "drains"),)
    _, seen = played([LONG], 2, "session-affinity", changes=drains)
    assert kinds(seen, "a", events.RoundLost) == []
    home = kinds(played([LONG], 2, "session-affinity")[1], "a", events.Placed)[0].replica
    away = (change(0.001, home, "leaves"), change(2.0, home, "joins"))
    _, seen = played([LONG], 2, "session-affinity", changes=away)
    assert [one.replica for one in kinds(seen, "a", events.Placed)] == [home, 1 - home, home]
    assert kinds(seen, "a", events.GpuStart)[-1].cached_tokens == 0


def test_one_that_joins_first_was_not_there_before() -> None:
    joins = (change(2.0, 0, "joins"),)
    _, seen = played(BOTH, 2, "round-robin", changes=joins)
    placed = [one for one in seen if isinstance(one, events.Placed)]
    assert {one.replica for one in placed if one.at < 2.0} == {1}
