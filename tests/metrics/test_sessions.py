"""A session's completion is arrival to end; its slowdown is that over the time it takes alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsbench.core.events import SessionAdmitted, SessionArrived, SessionEnded
from marsbench.core.metrics.sessions import count, roots, slowdown
from metrics.story import a_round, a_session, sessions


def only(*parts, **kwargs):
    (record,) = sessions(*parts, **kwargs)
    return record


def test_completion_runs_from_arrival_to_end_with_admission_inside():
    events = [
        SessionArrived(5.0, "a"),
        SessionAdmitted(25.0, "a"),
        SessionEnded(65.0, "a", "finished"),
    ]
    record = only(events, ideal_s={"a": 20.0})
    assert (record.admission_wait_s, record.completion_s, record.slowdown) == (20.0, 60.0, 3.0)


def test_a_session_that_failed_has_no_completion_and_says_why():
    record = only(a_session("a", 0.0, 9.0, outcome="failed"), ideal_s={"a": 1.0})
    assert (record.outcome, record.reason) == ("failed", "the tool broke")
    assert (record.completion_s, record.slowdown, record.ended_at) == (None, None, 9.0)


def test_a_session_still_under_way_is_unfinished():
    record = only([SessionArrived(0.0, "a")])
    assert record.outcome == "unfinished"
    assert {record.admitted_at, record.ended_at, record.admission_wait_s} == {None}
    assert {record.initial_tokens, record.peak_tokens, record.completion_s} == {None}


def test_tokens_and_rounds_are_those_of_its_own_rounds():
    rounds = [
        *a_round("a", 0, ready=0.0, first=1.0, end=2.0, prompt=100, output=30),
        *a_round("a", 1, ready=3.0, first=4.0, end=5.0, prompt=500, output=20),
        *a_round("a", 2, ready=6.0, prompt=90),
    ]
    record = only(a_session("a", 0.0, None, rounds=rounds))
    assert (record.initial_tokens, record.peak_tokens) == (100, 520)
    assert (record.output_tokens, record.num_rounds) == (50, 2)


def test_a_session_without_an_ideal_time_has_no_slowdown():
    assert only(a_session("a", 0.0, 9.0), ideal_s={"b": 1.0}).slowdown is None


@pytest.mark.parametrize("ideal", [0.0, -1.0, float("nan")])
def test_an_ideal_time_that_is_not_positive_is_refused(ideal):
    with pytest.raises(ValueError, match="must be positive"):
        slowdown(1.0, ideal)


@given(arrival=st.floats(0, 1e5), ideal=st.floats(1e-2, 1e5))
def test_a_session_that_nothing_disturbed_has_a_slowdown_of_one(arrival, ideal):
    completion = (arrival + ideal) - arrival
    assert slowdown(completion, ideal) == pytest.approx(1.0, abs=2e-9)
    if ideal >= 1:
        assert slowdown(completion, ideal) == 1.0


def test_sub_agents_are_part_of_their_parents():
    found = sessions(
        a_session("a", 0.0, 9.0),
        a_session("a/child", 1.0, 4.0, parent="a"),
        a_session("b", 2.0, 5.0, outcome="failed"),
        a_session("c", 3.0),
    )
    assert [s.session for s in roots(found)] == ["a", "b", "c"]
    assert count(found) == {
        "arrived": 3, "finished": 1, "failed": 1, "unfinished": 1, "sub_agents": 1,
    }  # fmt: skip
