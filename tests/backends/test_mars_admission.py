"""MARS's admission as described: who enters first, who fits, and how the window moves."""

from __future__ import annotations

from typing import Any

import pytest

from backends.mars_world import inside, queue, state
from marsbench_backends.policies.mars_admission import MarsAdmission
from marsbench_backends.signals import Signal, ToolEnded, ToolStarted
from marsbench_backends.testing import gone, submitted


def gate(*story: Signal, **settings: Any) -> MarsAdmission:
    controller = MarsAdmission(**settings)
    for signal in story:
        controller.observe(signal)
    return controller


def ticked(controller: MarsAdmission, *states: Any) -> list[int]:
    """The window after each control interval."""
    windows = []
    for one in states:
        controller.tick(one)
        windows.append(controller._window.size)
    return windows


def congested_cpu() -> MarsAdmission:
    controller = gate()
    controller.tick(state(tools=16))
    return controller


def tight_kv(**settings: Any) -> MarsAdmission:
    controller = gate(**settings)
    controller.tick(state(free=100))
    return controller


# --- the three orders


def test_small_sessions_enter_first() -> None:
    controller = gate()
    assert controller._mode == "small_first"
    assert controller.admit(queue(300, 100, 200), state()) == ["q1", "q2", "q0"]


def test_gpu_heavy_sessions_enter_first_while_the_cpu_is_congested() -> None:
    controller = congested_cpu()
    assert controller._mode == "gpu_heavy_first"
    assert controller.admit(queue(200, 100, 300), state()) == ["q2", "q0", "q1"]


def test_tight_kv_is_packed_by_age_and_cost() -> None:
    """Of 300 free blocks 285 may be filled: q1 does not fit, who came after it does."""
    controller = tight_kv()
    assert controller._mode == "packing"
    assert controller.admit(queue(200, 100, 80), state(free=300)) == ["q0", "q2"]


def test_tight_kv_prevails_over_a_congested_cpu() -> None:
    controller = gate()
    controller.tick(state(free=50, tools=16))
    assert controller._congestion.cpu_over
    assert controller._mode == "packing"


# --- who fits


def test_a_tenth_of_the_memory_is_left_free() -> None:
    assert gate().admit(queue(500, 401), state()) == ["q1"]
    assert gate().admit(queue(500, 400), state()) == ["q1", "q0"]


def test_who_does_not_fit_holds_up_nobody() -> None:
    assert gate().admit(queue(50, 30, 20), state(free=150)) == ["q2", "q1"]


def test_the_window_counts_sessions_on_tool_calls_too() -> None:
    controller = gate(window_init=4)
    assert controller.admit(queue(1, 2, 3), state(in_flight=inside(1, 1))) == ["q0", "q1"]
    assert controller.admit(queue(1), state(in_flight=inside(1, 1, 1, 1))) == []


def test_what_was_promised_is_reserved_before_it_is_filled() -> None:
    """1,000 blocks are free, but 800 of them are for sessions that have just entered."""
    empty = state(in_flight=inside(500, 300))
    assert gate().admit(queue(101, 100), empty) == ["q1"]
    assert gate(reserve=False).admit(queue(101, 100), empty) == ["q1", "q0"]


def test_a_context_is_reserved_as_it_grows() -> None:
    controller = gate(submitted("i0", tokens=500 * 16), submitted("i0", number=1, tokens=700 * 16))
    assert controller._footprints.reserved_blocks(state(in_flight=inside(500))) == 700


def test_a_sub_agent_needs_memory_of_its_own() -> None:
    controller = gate(submitted("i0.agent", tokens=200 * 16, parent_id="i0"))
    assert controller._footprints.reserved_blocks(state(in_flight=inside(500))) == 700


def test_ended_sessions_teach_how_much_they_grow() -> None:
    """From 100 to 150 blocks; the second one fell back behind its first prompt."""
    controller = gate(
        submitted("x", tokens=1_600), submitted("x", number=1, tokens=2_400), gone("x"),
        submitted("y", tokens=1_600), submitted("y", number=1, tokens=800), gone("y"),
        submitted("z", tokens=1_600, parent_id="y"), gone("z"),
    )  # fmt: skip
    assert controller._footprints.grown_blocks(queue(100)[0], state()) == 140  # 0.8 · 1.5 + 0.2 · 1


def test_a_context_that_was_compacted_teaches_its_peak() -> None:
    """From 100 blocks to 400, compacted to 120, grown to 200: it needed 400."""
    prompts = (1_600, 6_400, 1_920, 3_200)
    story = [submitted("x", number=n, tokens=tokens) for n, tokens in enumerate(prompts)]
    assert gate(*story, gone("x"))._footprints.grown_blocks(queue(100)[0], state()) == 400


def test_a_long_pause_gives_its_reservation_back() -> None:
    story = (submitted("i0", tokens=8_000), ToolStarted(10.0, "i0", "user"))
    controller = gate(*story, ToolStarted(12.0, "i0", "bash"))
    busy = inside(500)
    assert controller._footprints.reserved_blocks(state(now=309.0, in_flight=busy)) == 500
    assert controller._footprints.reserved_blocks(state(now=310.0, in_flight=busy)) == 0
    controller.observe(submitted("i0", 350.0, number=1, tokens=8_160))
    assert controller._footprints.reserved_blocks(state(now=350.0, in_flight=busy)) == 510


def test_an_empty_engine_takes_even_who_exceeds_the_budget() -> None:
    assert gate().admit(queue(990, 980), state()) == ["q1"]
    assert gate().admit(queue(990), state(in_flight=inside(1))) == []


def test_where_kv_is_not_measured_only_the_window_counts() -> None:
    blind = state(free=None, num_blocks=None)
    assert gate(window_init=4).admit(queue(*[10_000] * 6), blind) == ["q0", "q1", "q2", "q3"]


def test_without_the_control_plane_everyone_enters() -> None:
    controller = gate(admission=False)
    assert controller.admit(queue(990, 1, 980), state(free=0)) == ["q0", "q1", "q2"]


# --- the window


def test_congestion_cuts_the_window_every_interval() -> None:
    full = [state(free=0, now=0.2 * n) for n in range(6)]
    assert ticked(gate(), *full) == [21, 14, 9, 6, 4, 4]


def test_the_window_grows_by_one_an_interval() -> None:
    calm = [state(now=0.2 * n) for n in range(3)]
    assert ticked(gate(window_init=28), *calm) == [29, 30, 30]


def test_intervals_in_which_nobody_waited_count_as_the_next_one() -> None:
    controller = gate(window_init=4)
    assert ticked(controller, state(now=0.0), state(now=2.0)) == [5, 15]
    assert ticked(controller, state(free=0, now=60.0)) == [10]  # but only one of them cuts


def test_kv_congestion_ends_below_the_lower_watermark() -> None:
    """Smoothed by 0.2: 0.90, 0.88, 0.864, 0.8512, 0.84096."""
    controller = gate()
    windows = ticked(controller, *(state(free=f, now=0.2 * n)
                                   for n, f in enumerate((100, 200, 200, 200, 200))))  # fmt: skip
    assert windows == [21, 14, 9, 6, 7]


def test_between_the_watermarks_the_window_holds() -> None:
    assert ticked(gate(window_init=10), state(free=120)) == [10]
    assert ticked(gate(window_init=10), state(tools=12)) == [10]


def test_a_window_does_not_grow_without_memory_to_fill() -> None:
    assert ticked(gate(window_init=10), state(in_flight=inside(900))) == [10]


def test_cpu_congestion_is_two_calls_a_core_and_ends_at_one() -> None:
    """Smoothed by 0.2 from 2: 1.8, 1.64, …; after eleven idle intervals 0.17."""
    controller = gate()
    over = []
    for now, tools in ((0.0, 16), (0.2, 8), (0.4, 8), (2.6, 0)):
        controller.tick(state(now=now, tools=tools))
        over.append(controller._congestion.cpu_over)
    assert over == [True, True, True, False]


def test_tool_calls_that_queue_congest_the_cpu() -> None:
    controller = gate(ToolEnded(0.0, "a", "bash", 9.0, 5.0))
    assert ticked(controller, state()) == [21]
    assert controller._mode == "gpu_heavy_first"
    for _ in range(5):  # 5 s · 0.8^5 = 1.6 s
        controller.observe(ToolEnded(1.0, "a", "bash", 1.0, 0.0))
    assert ticked(controller, state(now=0.2)) == [22]


def test_a_call_that_never_asked_for_a_worker_is_no_sample_of_queueing() -> None:
    controller = gate(ToolEnded(0.0, "a", "bash", 9.0, 5.0))
    for _ in range(5):
        controller.observe(ToolEnded(1.0, "b", "user", 171.0))
    assert ticked(controller, state(now=0.2)) == [21]


def test_asking_moves_nothing() -> None:
    controller = gate()
    asked = [controller.admit(queue(300, 100), state(free=250)) for _ in range(3)]
    assert asked == [["q1"]] * 3
    assert controller._window.size == 30


@pytest.mark.parametrize("wrong", [{"window_min": 0}, {"window_min": 31}, {"tick_s": 0.0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        MarsAdmission(**wrong)  # type: ignore[arg-type]
