"""Rates are per second of a window that is said."""

from __future__ import annotations

from marsbench.core.metrics.window import (
    Window,
    arrivals,
    throughput,
    whole_run,
)
from metrics.story import a_round, a_session, records, sessions


def test_the_whole_run_is_first_arrival_to_last_end():
    found = sessions(a_session("a", 5.0, 50.0), a_session("b", 7.0, 20.0))
    assert whole_run(found, 99.0) == Window(5.0, 50.0)


def test_the_whole_run_goes_on_while_a_session_is_unfinished():
    found = sessions(a_session("a", 5.0, 50.0), a_session("b", 7.0))
    assert whole_run(found, 99.0) == Window(5.0, 99.0)


def test_without_sessions_or_time_there_is_no_window():
    assert whole_run([], 9.0) is None
    assert whole_run(sessions(a_session("a", 0.0, 0.0)), 0.0) is None
    assert arrivals([]) is None


def test_a_burst_has_no_time_of_arrivals():
    assert arrivals(sessions(a_session("a", 3.0, 9.0), a_session("b", 3.0, 9.0))) is None


def test_arrivals_are_those_of_sessions_not_of_sub_agents():
    found = sessions(
        a_session("a", 1.0, 9.0), a_session("b", 3.0, 9.0), a_session("c", 5.0, 6.0, parent="a")
    )
    assert arrivals(found) == Window(1.0, 3.0)


def test_throughput_counts_rounds_that_ended_and_sessions_that_finished():
    _, rounds, found = records(
        a_session(
            "a",
            0.0,
            10.0,
            rounds=[
                *a_round("a", 0, ready=0.0, first=1.0, end=2.0, prompt=100, output=30),
                *a_round("a", 1, ready=3.0, prompt=900, output=90),
            ],
            outcome="failed",
        ),
        a_session("b", 0.0, 8.0, rounds=[]),
        a_session("sub", 0.0, 8.0, rounds=[], parent="a"),
    )
    assert throughput(found, rounds, Window(0.0, 10.0)) == {
        "output_tokens_per_s": 3.0,
        "prompt_tokens_per_s": 10.0,
        "sessions_per_s": 0.1,
    }


def test_throughput_without_a_window_is_unknown():
    assert set(throughput([], [], None).values()) == {None}
