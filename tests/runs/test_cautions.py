"""A caution is said when its facts hold, and ends with a cure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figures import summarise
from marsbench.core.metrics.percentiles import MIN_FOR_P99
from marsbench.runs import Caution
from marsbench.runs.cautions import cautions_of, keeps_growing
from metrics.story import a_round, a_session, told


def many(number):
    """Sessions that follow one another, undisturbed."""
    names = [f"s{i}" for i in range(number)]
    events = told(*(a_session(name, 2.0 * i, 2.0 * i + 1) for i, name in enumerate(names)))
    return summarise(events, ideal_s=dict.fromkeys(names, 1.0))


def codes(summary):
    return [note["code"] for note in cautions_of(summary)]


def test_a_run_large_enough_and_undisturbed_needs_no_caution():
    assert codes(many(MIN_FOR_P99)) == []


def test_p99_of_few_is_a_caution():
    assert codes(many(MIN_FOR_P99 - 1)) == ["TOO_FEW_SESSIONS", "TOO_FEW_ROUNDS"]


def test_nothing_measured_is_no_caution_about_its_percentiles():
    assert codes(summarise([])) == []


def test_figures_of_survivors_say_so():
    events = told(a_session("a", 0.0, 1.0), a_session("b", 0.0, 1.0, outcome="failed"))
    summary = summarise(events, ideal_s={"a": 1.0})
    (note,) = (n for n in cautions_of(summary) if n["code"] == "SURVIVORS_ONLY")
    assert "the 1 sessions that finished, of 2 that arrived" in note["text"]


def test_finished_sessions_without_an_ideal_time_are_counted():
    summary = summarise(
        told(a_session("a", 0.0, 1.0), a_session("b", 0.0, 1.0)), ideal_s={"a": 1.0}
    )
    (note,) = (n for n in cautions_of(summary) if n["code"] == "NO_IDEAL")
    assert note["text"].startswith("1 finished sessions have no ideal time")


def test_a_queue_that_grows_to_the_end_of_arrivals_is_saturated():
    """A server that takes 4 s a session, and a new one every second."""
    events = told(
        *(
            a_session(
                f"s{i}",
                float(i),
                4.0 * i + 4,
                rounds=a_round(
                    f"s{i}", ready=float(i), start=4.0 * i, first=4.0 * i + 4, end=4.0 * i + 4
                ),
            )
            for i in range(20)
        )
    )
    (note,) = (n for n in cautions_of(summarise(events)) if n["code"] == "SATURATED")
    assert "lower --rate or --load" in note["text"]


@pytest.mark.parametrize(
    ("quarters", "grows"),
    [
        ([0.0, 1.0, 2.0, 3.0], True),
        ([9.0, 1.0, 2.0, 3.0], True),
        ([0.0, 1.0, 3.0, 2.0], False),
        ([0.0, 3.0, 4.0, 5.0], False),
        ([0.0, 0.1, 0.2, 0.9], False),
    ],
)
def test_growing_means_twice_as_many_and_at_least_one(quarters, grows):
    assert keeps_growing(quarters) is grows


@given(level=st.floats(0, 100))
def test_a_level_queue_does_not_grow(level):
    assert not keeps_growing([level] * 4)


def test_a_caution_names_its_code():
    note = Caution.DIRTY_TREE.note(commit="3f2a91c")
    assert note["code"] == "DIRTY_TREE"
    assert note["text"].endswith("so that others can repeat the result.")


def lasting(stay_s):
    """One comes a second; the nth takes so many times n seconds, and half of one."""
    return summarise(
        told(*(a_session(f"s{i}", float(i), i + 0.5 + stay_s * i) for i in range(120)))
    )


def test_a_backlog_that_grows_is_no_steady_run():
    (note,) = (n for n in cautions_of(lasting(1.0)) if n["code"] == "NOT_STEADY")
    assert "The backlog grew by 40 sessions while 90 arrived in the steady window" in note["text"]
    assert "(+0.50 a session, 95 % between +0.50 and +0.50)" in note["text"]
    assert "lower --rate or --load" in note["text"]


def test_one_that_hardly_grows_is():
    assert "NOT_STEADY" not in codes(lasting(0.05))


def test_one_that_shrinks_began_with_too_many():
    warm = [a_session(f"w~warm{i}", 0.0, 30.5 + i) for i in range(60)]
    events = told(*(a_session(f"s{i}", float(i), i + 0.5) for i in range(100)), *warm)
    (note,) = (n for n in cautions_of(summarise(events)) if n["code"] == "NOT_STEADY")
    assert "shrank by 60 sessions" in note["text"]
    assert "--warm-start" in note["text"]
