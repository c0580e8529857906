"""Admission at each replica: sessions wait where the router put them, and wherever that leads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core import events
from marsbench.core.metrics.check import check_stream
from marsbench.core.session import Round, Session
from marsbench.replicas.registry import ROUTERS
from sim.test_replica_changes import change, kinds
from sim.test_replicas import played, whole
from sim.worlds import workloads

pytestmark = pytest.mark.vllm

ROUND = Round(600, 40)
FOUR = [Session(f"s{i}", (ROUND,)) for i in range(4)]
EACH = {"backend": "fcfs-cap", "backend_settings": {"cap": 1}}
ALL = {"backend": "sim.worlds:CappedInAll", "backend_settings": {"cap": 1}}

WAITED = {"asked": 4, "differed": 2, "reasons": {"cap": 2}}  # each once, though two wait twice


def admitted(seen: list[Any]) -> dict[str, float]:
    return {one.session: one.at for one in seen if isinstance(one, events.SessionAdmitted)}


def most_at_once(seen: list[Any], replica: int | None = None) -> int:
    """Sessions between their admission and their end, of those that were placed there."""
    there = {e.session for e in seen if isinstance(e, events.Placed)
             if replica in (None, e.replica)}  # fmt: skip
    inside = most = 0
    for event in seen:
        if getattr(event, "session", None) in there:
            inside += isinstance(event, events.SessionAdmitted)
            inside -= isinstance(event, events.SessionEnded)
            most = max(most, inside)
    return most


def test_a_cap_is_of_each_replica_and_a_global_one_of_all() -> None:
    fleet, each = played(FOUR, 2, "round-robin", **EACH)
    assert (most_at_once(each), most_at_once(each, 0), most_at_once(each, 1)) == (2, 1, 1)
    assert fleet.decisions is not None
    assert fleet.decisions["admission"] == WAITED
    assert most_at_once(played(FOUR, 2, "round-robin", **ALL)[1]) == 1


def test_a_session_waits_for_its_own_replica_though_another_is_empty() -> None:
    long = [Session("s0", (Round(600, 200),)), *FOUR[1:3]]
    seen = played(long, 2, "round-robin", **EACH)[1]
    ends = {one.session: one.at for one in seen if isinstance(one, events.SessionEnded)}
    assert admitted(seen) == {"s0": 0.0, "s1": 0.0, "s2": ends["s0"]}
    assert ends["s1"] < ends["s0"]
    assert [one.replica for one in seen if isinstance(one, events.Placed)] == [0, 1, 0]


@pytest.mark.parametrize("what", ["leaves", "drains"])
def test_who_waits_at_a_replica_that_goes_is_placed_again(what: Any) -> None:
    """s0 and s2 are for replica 0; the one that waits there goes to replica 1 and waits behind."""
    fleet, seen = played(FOUR, 2, "round-robin", changes=(change(0.001, 0, what),), **EACH)
    assert [one.replica for one in kinds(seen, "s2", events.Placed)] == [1]
    assert [one.replica for one in kinds(seen, "s0", events.Placed)][-1] == int(what == "leaves")
    assert check_stream(seen) == []
    assert fleet.decisions is not None
    assert fleet.decisions["admission"] == WAITED


def test_a_session_that_moves_takes_its_place_along() -> None:
    """Round-robin takes s0's second round to replica 1, and s2 may enter replica 0."""
    moves = [Session("s0", (ROUND, ROUND)), Session("s1", (Round(600, 400),)), FOUR[2]]
    seen = played(moves, 2, "sim.worlds:Away", **EACH)[1]
    second = kinds(seen, "s0", events.GpuSubmit)[1]
    assert admitted(seen)["s2"] == second.at


@settings(max_examples=6)
@given(
    workloads(),
    st.sampled_from(sorted(ROUTERS)),
    st.sampled_from(["fcfs-cap", "mars", "concur", "clairvoyant", "mars-released"]),
    st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted),
)
def test_every_session_enters_once_whatever_leaves_and_joins(
    workload: list[Session], router: str, backend: str, shares: list[float]
) -> None:
    facts: dict[str, Any] = {"backend": backend}
    if backend == "fcfs-cap":
        facts["backend_settings"] = {"cap": 2}
    end_s = played(workload, 3, router, **facts)[1][-1].at
    leaves, joins, drains = (share * end_s for share in shares)
    changes = (
        change(leaves, 1, "leaves"), change(joins, 1, "joins"), change(drains, 2, "drains"),
    )  # fmt: skip
    fleet, seen = played(workload, 3, router, changes=changes, **facts)
    assert check_stream(seen, 3 * fleet.config.num_blocks) == []
    assert admitted(seen).keys() == {s.id for root in workload for s in root.walk()}
    assert fleet.placing.views.books._rounds == fleet.placing._kept == {}
    each: Any = fleet.sessions
    assert each._where == each._doors._at == each._doors._known == {}
    slow = played(workload, 3, router, changes=changes, merge=False, **facts)[1]
    assert sorted(map(whole, seen)) == sorted(map(whole, slow))
