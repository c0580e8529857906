"""The steady part: which sessions are of it, and which are of no figure at all."""

from __future__ import annotations

from figures import summarise
from marsbench.core.events import KvUsage
from marsbench.core.metrics.steady import steady
from marsbench.core.metrics.window import Window, throughput
from metrics.story import a_round, a_session, records, sessions, told


def test_it_begins_when_a_quarter_has_come_and_ends_with_the_last_arrival():
    found = sessions(*(a_session(f"s{i}", 10.0 * i, 10.0 * i + 5) for i in range(8)))
    assert steady(found) == Window(20.0, 70.0)


def test_how_long_sessions_take_does_not_move_it():
    """Backends are measured by the same sessions."""
    fast, slow = (
        sessions(*(a_session(f"s{i}", 10.0 * i, 10.0 * i + stay) for i in range(8)))
        for stay in (1.0, 65.0)
    )
    assert steady(fast) == steady(slow)


def test_there_is_none_when_all_arrive_before_one_ends():
    assert steady(sessions(a_session("a", 0.0, 10.0), a_session("b", 5.0, 30.0))) is None
    assert steady([]) is None
    assert steady(sessions(a_session("a", 3.0, 9.0))) is None


STORY = told(
    a_session("ramp", 0.0, 10.0),
    a_session("warm", 14.0, 18.0),
    a_session("last", 20.0, 26.0),
    [KvUsage(at, 10, 0, 90, 1, 0, 0) for at in (5.0, 13.0)],
    [KvUsage(at, 30, 0, 70, 1, 0, 0) for at in (15.0, 20.0)],
)
IDEAL = {"ramp": 10.0, "warm": 2.0, "last": 2.0}


def test_its_figures_are_of_those_that_arrived_in_it():
    found = summarise(STORY, ideal_s=IDEAL, alphas=(2.0, 3.0), total_blocks=100)["steady"]
    assert (found["from_s"], found["to_s"], found["arrived"]) == (14.0, 20.0, 2)
    assert (found["latency"]["n"], found["latency"]["mean"]) == (2, 5.0)
    assert found["slowdown"]["mean"] == 2.5
    assert found["goodput"]["2"] == {"share": 0.5, "rate": 1 / 6, "good": 1, "arrived": 2}
    assert found["goodput"]["3"]["share"] == 1.0
    assert (found["ttft"]["n"], found["ttft"]["mean"]) == (2, 5.0)
    assert found["throughput"]["sessions_per_s"] == 1 / 6
    assert found["throughput"]["output_tokens_per_s"] == 11 / 6
    assert found["kv_usage"]["used_share"]["mean"] == 0.3
    assert found["backlog"] is None


WARM = told(
    STORY,
    a_session(
        "x~warm0",
        0.0,
        19.0,
        rounds=[
            *a_round("x~warm0", 0, ready=0.0, first=7.0, end=8.0),
            *a_round("x~warm0", 1, ready=15.0, first=18.0, end=19.0),
        ],
    ),
    a_session("c~warm0", 1.0, 2.0, parent="x~warm0"),
    a_session("y~warm1", 14.5, 40.0),
)


def test_sessions_in_flight_at_the_start_are_in_no_figure_of_sessions():
    """Nobody saw them begin."""
    without, with_them = (summarise(story, ideal_s=IDEAL) for story in (STORY, WARM))
    for figure in ("sessions", "goodput", "latency", "slowdown", "makespan_s", "ttft",
                   "ttft_by_round", "tpot", "prefix_hit_rate", "admission_wait"):  # fmt: skip
        assert with_them[figure] == without[figure], figure


def test_what_they_did_counts_for_the_machine_and_their_rounds_in_the_steady_part():
    found = summarise(WARM, ideal_s=IDEAL)
    assert found["steady"]["arrived"] == 2
    assert found["steady"]["throughput"]["sessions_per_s"] == 2 / 6
    # Of their rounds the first is the rest of one, and computes a context that was there.
    assert found["steady"]["ttft"]["n"] == 3
    assert found["throughput"]["output_tokens_per_s"] == 6 * 11 / 26.0
    _, rounds, own = records(WARM)
    assert throughput(own, rounds, Window(0.0, 20.0))["sessions_per_s"] == 3 / 20
