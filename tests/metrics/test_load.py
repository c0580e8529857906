"""How full the machine was."""

from __future__ import annotations

import pytest

from marsbench.core.events import GpuFirstToken, GpuSubmit, KvUsage, RoundReady, ToolEnd, ToolStart
from marsbench.core.metrics.load import cpu_calls, kv_usage, tools_in_flight, waiting
from marsbench.core.metrics.rounds import rounds_of
from marsbench.core.metrics.stream import Stream
from marsbench.core.metrics.window import Window
from metrics.story import a_round, told

RUN = Window(0.0, 10.0)
NOTHING = {"mean": None, "peak": None}


def usage(at, used, held=0):
    return KvUsage(at, used, held, None, None, None, None)


def test_usage_is_the_mean_and_the_peak_of_the_samples():
    found = kv_usage(Stream([usage(0.0, 10, 2), usage(1.0, 90, 4), usage(2.0, 20, 0)]), 100)
    assert found["used_blocks"] == {"mean": 40.0, "peak": 90.0}
    assert found["used_share"] == {"mean": 0.4, "peak": 0.9}
    assert found["held_share"] == {"mean": 0.02, "peak": 0.04}
    assert (found["samples"], found["total_blocks"]) == (3, 100)


def test_without_the_size_of_the_cache_there_are_no_shares():
    found = kv_usage(Stream([usage(0.0, 10), usage(1.0, 10)]))
    assert found["used_share"] == NOTHING


def test_what_the_engine_did_not_sample_is_unknown():
    found = kv_usage(Stream([usage(0.0, None, None), usage(1.0, None, None)]), 100)
    assert found["samples"] == 2
    for name in ("used_blocks", "held_blocks", "used_share", "held_share"):
        assert found[name] == NOTHING


def test_tool_calls_in_flight_overlap_and_sub_agents_are_no_tools():
    calls = [
        ToolStart(0.0, "a", 0, 0, "bash"),
        ToolStart(0.0, "a", 0, 1, "bash"),
        ToolStart(0.0, "a", 0, 2, "task", child="sub"),
        ToolEnd(2.0, "a", 0, 1, "bash"),
        ToolStart(2.0, "b", 0, 0, "bash"),
        ToolEnd(4.0, "a", 0, 0, "bash"),
        ToolEnd(6.0, "b", 0, 0, "bash"),
        ToolEnd(9.0, "a", 0, 2, "task"),
    ]
    assert tools_in_flight(Stream(calls), RUN) == {"mean": 1.0, "peak": 2.0}


def test_of_the_calls_in_flight_those_that_burn_cpu_are_counted_apart():
    calls = [
        ToolStart(0.0, "a", 0, 0, "bash", burns_cpu=True),
        ToolStart(0.0, "b", 0, 0, "user", burns_cpu=False),
        ToolStart(0.0, "c", 0, 0, "task", child="sub"),
        ToolEnd(4.0, "a", 0, 0, "bash"),
        ToolEnd(9.0, "b", 0, 0, "user"),
    ]
    assert tools_in_flight(Stream(calls), RUN) == {"mean": 1.3, "peak": 2.0}
    assert cpu_calls(Stream(calls), RUN) == {"mean": 0.4, "peak": 1.0}


def test_where_one_call_does_not_say_whether_it_burns_the_load_is_unknown():
    calls = [
        ToolStart(0.0, "a", 0, 0, "bash", burns_cpu=True),
        ToolStart(0.0, "b", 0, 0, "terminal"),
    ]
    assert cpu_calls(Stream(calls), RUN) == NOTHING


def test_a_call_that_never_ended_counts_to_the_end_of_the_stream():
    stream = Stream([ToolStart(6.0, "a", 0, 0, "bash"), usage(10.0, 0)])
    assert tools_in_flight(stream, RUN) == {"mean": 0.4, "peak": 1.0}


def test_a_call_that_took_no_time_was_never_in_flight():
    stream = Stream([ToolStart(6.0, "a", 0, 0, "x"), ToolEnd(6.0, "a", 0, 0, "x")])
    assert tools_in_flight(stream, RUN) == {"mean": 0.0, "peak": 0.0}


def test_without_a_window_load_is_unknown():
    assert tools_in_flight(Stream([]), None) == NOTHING
    assert waiting([], None, None) == {"mean": None, "by_quarter": None}


def test_rounds_wait_from_ready_to_their_first_start():
    stream = Stream(
        told(a_round("a", ready=0.0, submit=3.0, start=4.0), a_round("b", ready=2.0, start=8.0))
    )
    found = waiting(rounds_of(stream), RUN, Window(0.0, 8.0))
    assert found["mean"] == pytest.approx(1.0)
    assert found["by_quarter"] == [1.0, 2.0, 1.0, 1.0]


def test_a_round_that_never_started_waits_to_the_end_of_the_run():
    found = waiting(rounds_of(Stream([RoundReady(6.0, "a", 0)])), RUN, None)
    assert found == {"mean": 0.4, "by_quarter": None}


def test_where_starts_are_hidden_a_round_waits_for_its_first_token():
    events = [RoundReady(0.0, "a", 0), GpuSubmit(0.0, "a", 0, 10, 1), GpuFirstToken(5.0, "a", 0)]
    assert waiting(rounds_of(Stream(events)), RUN, None)["mean"] == 0.5
