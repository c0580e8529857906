"""MARS's admission as released: its caps, its five orders, its rules for long sessions."""

from __future__ import annotations

from typing import Any

import pytest

from backends.mars_world import inside, queue, state
from marsbench_backends.admission import Candidate
from marsbench_backends.policies.mars_released_admission import MarsReleasedAdmission
from marsbench_backends.signals import ToolEnded
from marsbench_backends.testing import gone

LONG = 3_125  # blocks of 16 tokens: 50,000
ROOMY = {"num_blocks": 100_000}


def gate(**settings: Any) -> MarsReleasedAdmission:
    return MarsReleasedAdmission(**settings)


def roomy(free: int = 100_000, **facts: Any) -> Any:
    return state(free, **ROOMY, **facts)


# --- signals and caps


@pytest.mark.parametrize(
    ("cores", "low", "high", "cap"), [(8, 1, 4, 20), (8, 1, 2, 12), (1, 1, 2, 4), (64, 1, 4, 30)]
)
def test_the_cpu_cap_is_the_middle_of_the_band(cores: int, low: int, high: int, cap: int) -> None:
    controller = gate(cpu_low=low, cpu_high=high)
    assert controller._congestion.cpu_cap(state(tool_cores=cores), 4, 30) == cap


@pytest.mark.parametrize(("free", "cap"), [(150, 30), (125, 17), (100, 4), (0, 4), (1_000, 30)])
def test_the_kv_cap_falls_between_the_watermarks(free: int, cap: int) -> None:
    assert gate()._congestion.kv_cap(state(free), 4, 30) == cap


@pytest.mark.parametrize(("free", "budget"), [(500, 400), (100, 0), (40, 0), (0, None)])
def test_the_budget_leaves_a_tenth_and_is_unknown_at_nothing(free: int, budget: int | None) -> None:
    assert gate()._budget_blocks(state(free)) == budget


def test_slots_are_what_the_lowest_cap_leaves() -> None:
    assert gate()._slots(state(in_flight=inside(1, 1))) == 18
    assert gate(window_init=5)._slots(state(in_flight=inside(1, 1))) == 3
    assert gate()._slots(state(free=100, in_flight=inside(1, 1))) == 2


# --- orders


def test_under_low_pressure_first_come_first_served() -> None:
    controller = gate()
    assert controller._mode(queue(30, 10), state()) == "low_pressure_fcfs"
    assert controller.admit(queue(30, 10), state()) == ["q0", "q1"]


def test_more_waiting_than_slots_is_short_first_and_skips_misfits() -> None:
    controller = gate(window_init=4)
    waiting = queue(500, 300, 700, 100, 50)
    assert controller._mode(waiting, state()) == "short_first"
    assert controller.admit(waiting, state(free=550)) == ["q4", "q3", "q1"]


def test_an_overloaded_cpu_takes_the_long_first() -> None:
    controller = gate()
    controller.tick(state(tools=32))
    assert controller._mode(queue(1), state()) == "cpu_overloaded_long_first"
    assert controller.admit(queue(100, 300, 200), state()) == ["q1", "q2", "q0"]


def test_with_the_launchers_defaults_tool_calls_alone_cannot_overload() -> None:
    """20 sessions, one call each, on 8 workers: a ratio of 2.5 of the 4 it takes."""
    controller = gate()
    controller.tick(state(tools=20))
    assert not controller._congestion.cpu_over
    controller.observe(ToolEnded(0.0, "a", "bash", 9.0, 5.0))
    controller.tick(state(now=0.2))
    assert controller._congestion.cpu_over


def test_a_call_that_never_asked_for_a_worker_is_no_sample_of_queueing() -> None:
    controller = gate()
    controller.observe(ToolEnded(0.0, "a", "bash", 9.0, 5.0))
    for _ in range(5):
        controller.observe(ToolEnded(1.0, "b", "user", 171.0))
    controller.tick(state(now=0.2))
    assert controller._congestion.cpu_over


def test_blind_to_kv_it_takes_two_short_sessions() -> None:
    waiting = queue(LONG, 10, 20, 30)
    assert gate().admit(waiting, state(free=None)) == ["q1", "q2"]
    assert gate().admit(waiting, state(free=None, in_flight=inside(1))) == ["q1"]


# --- long sessions


def test_a_long_session_waits_for_the_queue_to_be_rid_of_short_ones() -> None:
    assert gate().admit(queue(LONG, 10), roomy()) == ["q1"]


def test_a_long_session_is_inserted_after_a_quiet_spell() -> None:
    controller = gate()
    controller.tick(roomy(now=10.0, in_flight=inside(10)))
    waits = [
        controller.admit(queue(LONG), roomy(now=now, in_flight=inside(10))) for now in (14.9, 15.0)
    ]
    assert waits == [[], ["q0"]]
    assert controller.admit(queue(LONG), roomy(now=10.1)) == ["q0"], "nobody is in flight"


def test_at_most_two_long_sessions_are_in_flight() -> None:
    assert gate().admit(queue(LONG, LONG, LONG), roomy()) == ["q0", "q1"]
    assert gate().admit(queue(LONG, LONG), roomy(in_flight=inside(LONG))) == ["q0"]
    assert gate().admit(queue(LONG), roomy(in_flight=inside(LONG, LONG))) == []


def test_no_long_session_is_inserted_while_kv_is_overloaded() -> None:
    controller = gate()
    controller.tick(roomy(free=10_000))
    assert controller._congestion.kv_over
    assert controller.admit(queue(LONG), roomy(in_flight=inside(10))) == []


def test_a_short_session_that_ended_is_forgotten() -> None:
    controller = gate()
    controller.tick(roomy(in_flight=inside(10)))
    controller.observe(gone("i0"))
    controller.tick(roomy(now=3.0))
    assert controller.admit(queue(LONG), roomy(now=5.0, in_flight=inside(LONG))) == ["q0"]


# --- the tail


def tail(free: int = 100_000, **facts: Any) -> Any:
    return roomy(free, arrivals_over=True, **facts)


def test_only_long_sessions_left_are_drained_by_age_into_what_is_free() -> None:
    """Of 20,000 free blocks 19,000 may be filled; the window does not count."""
    controller = gate(window_init=4)
    waiting = queue(4_000, 11_800, 3_200, *[LONG] * 4)
    assert controller._mode(waiting, tail()) == "tail_kv_drain_fit"
    assert controller.admit(waiting, tail(20_000)) == ["q0", "q1", "q2"]
    assert controller.admit(waiting, tail()) == [f"q{n}" for n in range(7)]


def test_the_tail_counts_the_long_sessions_in_flight() -> None:
    assert gate().admit(queue(4_000), tail(20_000, in_flight=inside(15_001))) == []
    assert gate().admit(queue(4_000), tail(20_000, in_flight=inside(15_000))) == ["q0"]


def test_the_tail_is_drained_one_by_one_beside_short_sessions() -> None:
    assert gate().admit(queue(LONG, LONG), tail(in_flight=inside(10))) == ["q0"]


def test_the_oldest_of_the_tail_enters_even_if_it_does_not_fit() -> None:
    assert gate().admit(queue(9_000, 9_001), tail(0)) == ["q0"]
    assert gate().admit(queue(9_000), tail(0, in_flight=inside(LONG))) == []


def test_no_tail_while_a_short_session_waits() -> None:
    assert gate()._mode(queue(LONG, 10), tail()) != "tail_kv_drain_fit"


# --- the window


def ticked(controller: MarsReleasedAdmission, *states: Any) -> list[int]:
    windows = []
    for one in states:
        controller.tick(one)
        windows.append(controller._window.size)
    return windows


def test_overload_cuts_by_three_tenths() -> None:
    controller = gate()
    controller.observe(ToolEnded(0.0, "a", "bash", 9.0, 6.0))
    states = [state(now=0.2 * n, tool_cores=12) for n in range(6)]  # a CPU cap of 30
    assert ticked(controller, *states) == [21, 14, 9, 6, 4, 4]


def test_kv_at_its_watermark_closes_the_window_in_one_tick() -> None:
    assert ticked(gate(), state(free=100)) == [4]


def test_kv_overload_lasts_until_the_lower_watermark() -> None:
    controller = gate()
    over = []
    for free in (100, 140, 150):
        controller.tick(state(free))
        over.append(controller._congestion.kv_over)
    assert over == [True, True, False]


def test_a_calm_window_grows_by_one_an_interval_up_to_the_caps() -> None:
    times = (0.0, 0.2, 1.2, 60.0)
    assert ticked(gate(window_init=4), *(state(now=t) for t in times)) == [5, 6, 11, 20]


def test_a_busy_cpu_holds_the_window() -> None:
    assert ticked(gate(window_init=10), state(tools=9)) == [10]


def test_an_empty_engine_takes_the_first_in_order() -> None:
    assert gate().admit(queue(990, 980), state(arrivals_over=True)) == ["q0"]
    assert gate().admit(queue(990), state(in_flight=inside(1))) == []


def test_asking_moves_nothing() -> None:
    controller = gate()
    waiting = [Candidate("a", 0.0, 16), Candidate("b", 1.0, 32)]
    assert [controller.admit(waiting, state()) for _ in range(2)] == [["a", "b"]] * 2
    assert controller._window.size == 30


@pytest.mark.parametrize("wrong", [{"window_min": 31}, {"kv_low": 0.9}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        gate(**wrong)
