"""Goodput counts sessions within α of their ideal, over all that arrived."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsbench.core.metrics.goodput import alpha_key, goodput
from marsbench.core.metrics.window import Window, whole_run
from marsbench.errors import UsageError
from metrics.story import a_session, sessions

RUN = Window(0.0, 100.0)


def four(**ideal_s):
    """Completions of 10, 20 and 30 s, and one session that failed."""
    return sessions(
        a_session("a", 0.0, 10.0),
        a_session("b", 0.0, 20.0),
        a_session("c", 0.0, 30.0),
        a_session("d", 0.0, 5.0, outcome="failed"),
        ideal_s=ideal_s or {"a": 10.0, "b": 10.0, "c": 10.0, "d": 10.0},
    )


@pytest.mark.parametrize(("alpha", "good"), [(1, 1), (1.99, 1), (2, 2), (2.99, 2), (3, 3), (99, 3)])
def test_a_session_exactly_at_alpha_is_good(alpha, good):
    found = goodput(four(), alpha, RUN)
    assert found == {"share": good / 4, "rate": good / 100, "good": good, "arrived": 4}


def test_failed_and_unfinished_sessions_are_in_the_denominator():
    found = goodput(
        sessions(
            a_session("a", 0.0, 10.0),
            a_session("b", 0.0, 10.0, outcome="failed"),
            a_session("c", 0.0),
            ideal_s={"a": 10.0},
        ),
        3,
        RUN,
    )
    assert found["share"] == pytest.approx(1 / 3)


def test_a_sub_agent_is_no_session_of_its_own():
    found = goodput(
        sessions(
            a_session("a", 0.0, 10.0),
            a_session("child", 0.0, 9.0, parent="a"),
            ideal_s={"a": 10.0},
        ),
        1,
        RUN,
    )
    assert (found["good"], found["arrived"]) == (1, 1)


def test_goodput_is_unknown_while_one_finished_session_has_no_ideal():
    found = goodput(four(a=10.0, b=10.0), 3, RUN)
    assert found == {"share": None, "rate": None, "good": None, "arrived": 4}


def test_goodput_of_no_arrivals_is_unknown():
    assert goodput([], 3, None) == {"share": None, "rate": None, "good": None, "arrived": 0}


def test_a_run_that_took_no_time_has_a_share_and_no_rate():
    found = goodput(sessions(a_session("a", 0.0), ideal_s={"a": 1.0}), 3, None)
    assert (found["share"], found["rate"]) == (0.0, None)


def test_the_rate_is_per_second_from_first_arrival_to_last_end():
    found = sessions(
        a_session("a", 10.0, 20.0), a_session("b", 30.0, 50.0), ideal_s={"a": 10.0, "b": 20.0}
    )
    assert goodput(found, 1, whole_run(found, 50.0))["rate"] == 2 / 40


@pytest.mark.parametrize("alpha", [0.99, 0, -3, float("nan"), float("inf")])
def test_an_alpha_that_nobody_can_meet_is_bad_usage(alpha):
    with pytest.raises(UsageError, match="--alpha"):
        goodput(four(), alpha, RUN)


@pytest.mark.parametrize(("alpha", "key"), [(3, "3"), (3.0, "3"), (1.5, "1.5"), (1.01, "1.01")])
def test_an_alpha_is_named_as_a_person_writes_it(alpha, key):
    assert alpha_key(alpha) == key


@given(
    times=st.lists(st.tuples(st.floats(1, 100), st.floats(1, 50)), min_size=1, max_size=8),
    low=st.floats(1, 10),
    more=st.floats(0, 10),
)
def test_goodput_never_falls_as_alpha_grows(times, low, more):
    found = sessions(
        *(a_session(f"s{i}", 0.0, end) for i, (end, _) in enumerate(times)),
        ideal_s={f"s{i}": ideal for i, (_, ideal) in enumerate(times)},
    )
    assert goodput(found, low, RUN)["share"] <= goodput(found, low + more, RUN)["share"] <= 1
