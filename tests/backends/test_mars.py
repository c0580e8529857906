"""MARS as described: its one ordering, its chunks and what it holds."""

from __future__ import annotations

import math
from typing import Any

import pytest

from marsbench_backends.policies.mars import Mars
from marsbench_backends.policy import Keep, Release
from marsbench_backends.signals import Signal, ToolEnded
from marsbench_backends.testing import (
    FakeView,
    ended,
    gone,
    order,
    paused,
    play,
    preempted,
    req,
    running,
    started,
    submitted,
)

EDGES = (1_000, 4_000)


def mars(*story: Signal, **settings: Any) -> Mars:
    return play(Mars(**{"level_tokens": EDGES, **settings}), *story)


def served(session: str, tokens: int) -> tuple[Signal, ...]:
    """A session whose first round, of a small prompt, had that much service and ended."""
    return submitted(session), started(session), ended(session, 1.0, tokens=tokens + 1)


# --- the one ordering


def test_the_session_with_less_service_goes_first() -> None:
    policy = mars(*served("old", 1_500), *served("young", 500))
    assert order(policy, req("old", num_prompt_tokens=100), req("young")) == ["young", "old"]


def test_within_a_level_the_smaller_footprint_goes_first() -> None:
    big, small = req("a", num_prompt_tokens=800), req("b", num_prompt_tokens=300)
    assert order(mars(), big, small) == ["b", "a"]


def test_what_a_hold_keeps_is_no_footprint_to_come() -> None:
    """A warm continuation brings 60 tokens, a cold one of half its size 500."""
    warm, cold = req("warm", num_prompt_tokens=860), req("cold", num_prompt_tokens=500)
    view = FakeView(paused={"warm": paused("warm", num_blocks=50, held=True, returned=True)})
    assert order(mars(), cold, warm, view=view) == ["warm", "cold"]
    lost = FakeView(paused={"warm": paused("warm", num_blocks=50, returned=True)})
    assert order(mars(), cold, warm, view=lost) == ["cold", "warm"]


def test_among_equals_who_came_first_goes_first() -> None:
    late, early = req("late", submitted_at=2.0), req("early", submitted_at=1.0)
    assert order(mars(), late, early) == ["early", "late"]


def test_thirty_seconds_of_waiting_lift_by_one_level_and_no_more() -> None:
    large = req("large", num_prompt_tokens=5_000)
    middle = req("middle", num_prompt_tokens=1_200)
    policy = mars(submitted("large", 0.0, tokens=5_000), submitted("middle", 80.0, tokens=1_200))
    before, later = FakeView(now=29.0), FakeView(now=89.0)
    levels = [policy.waiting_key(large, view)[0] for view in (before, later)]
    assert levels == [2, 1]
    assert policy.changes_at(before) == 30.0
    assert policy.changes_at(FakeView(now=31.0)) == 110.0
    assert order(policy, large, middle, view=later) == ["middle", "large"]
    assert policy.changes_at(FakeView(now=500.0)) == math.inf


def test_the_victim_is_the_last_in_the_same_ordering() -> None:
    policy = mars(*served("low", 1_500))
    small_but_low = running("low", num_prompt_tokens=100)
    large, larger = running("a", num_prompt_tokens=300), running("b", num_prompt_tokens=400)
    view = FakeView(running=[large, small_but_low, larger])
    assert policy.victim(view.running, view) is small_but_low
    assert policy.victim([larger, large], view) is larger


def test_a_preempted_round_queues_behind_whom_it_made_room_for() -> None:
    policy = mars(
        *served("low", 1_500), submitted("low", 2.0, number=1), started("low", 2.0, number=1),
        preempted("low", 3.0, number=1),
    )  # fmt: skip
    evicted, other = req("low", position=-1), req("b", position=9)
    assert order(policy, evicted, other, view=FakeView(now=3.0)) == ["b", "low"]


def test_a_decode_never_waits_for_tokens_behind_a_prefill() -> None:
    prefill = running("small", num_prompt_tokens=100, decoding=False)
    decode = running("large", num_prompt_tokens=900)
    assert mars().running_key(decode, FakeView()) < mars().running_key(prefill, FakeView())


def test_steps_repeat_until_service_demotes() -> None:
    policy = mars(submitted("a"), started("a", cached=100))
    assert policy.steady_tokens(running("a", num_computed_tokens=500), FakeView()) == 600


def test_service_before_a_preemption_counts() -> None:
    policy = mars(submitted("a"), started("a"), preempted("a", 1.0, tokens=1_000))
    assert policy.waiting_key(req("a"), FakeView())[0] == 1


def test_without_the_coordinator_vllm_orders() -> None:
    policy = mars(*served("old", 1_500), coordinator=False)
    old, young = running("old", position=1), running("young", position=2)
    assert order(policy, young, old) == ["old", "young"]
    assert policy.running_key(old, FakeView()) == policy.running_key(young, FakeView())
    assert policy.victim([young, old], FakeView()) is old
    assert policy.steady_tokens(old, FakeView()) == policy.changes_at(FakeView()) == math.inf


# --- chunks


def test_a_chunk_that_does_not_fit_is_halved() -> None:
    assert mars().shrink(req(), 2_048, 300, FakeView()) == 256
    for off in ({"shrinking": False}, {"opportunistic": False}):
        assert mars(**off).shrink(req(), 2_048, 300, FakeView()) == 2_048


# --- retention: blocks of 16, a prompt token costs 1 ms


def pressed(now: float = 0.0, **facts: Any) -> FakeView:
    """95 of 100 blocks in use, and as many wanted."""
    waiting = [req("w", num_prompt_tokens=1_600)]
    return FakeView(now=now, free_blocks=5, waiting=waiting, **facts)


def pauses(*seconds: float) -> tuple[Signal, ...]:
    """Tools that took so long, each of a session that ended."""
    story: list[Signal] = []
    for number, took in enumerate(seconds):
        name = f"before-{number}"
        story += [submitted(name), ended(name, 0.0), submitted(name, took, number=1), gone(name)]
    return tuple(story)


def test_a_hold_gains_the_prefill_that_it_saves() -> None:
    """4 of 5 such pauses end within 30 s; 160 tokens cost 0.16 s."""
    policy = mars(*pauses(1.0, 2.0, 3.0, 4.0, 50.0), tool_samples=4)
    assert policy._pins.gain_s(paused(), FakeView()) == pytest.approx(0.8 * 0.16)


def test_the_gain_counts_the_queue_that_a_cold_return_meets() -> None:
    story = (
        submitted("x"), started("x", 5.0, waited=5.0, evicted=True),
        submitted("y"), started("y", 9.0, waited=9.0),
        submitted("z"), started("z", 7.0, waited=7.0, evicted=True, resumed=True),
    )  # fmt: skip
    policy = mars(*story)
    assert policy._pins.gain_s(paused(tools=()), FakeView()) == pytest.approx(0.16 + 5.0)


def test_odds_are_of_what_is_left_of_the_longest_hold() -> None:
    """At 10 s two such pauses are still possible, and one of them ends before 30 s."""
    policy = mars(*pauses(1.0, 2.0, 20.0, 50.0), tool_samples=3)
    assert policy._pins.gain_s(paused(), FakeView(now=10.0)) == pytest.approx(0.5 * 0.16)
    assert policy._pins.gain_s(paused(), FakeView(now=30.0)) == 0.0


def test_before_anything_is_known_pauses_are_exponential() -> None:
    policy, view = mars(tool_cold_s=30.0), FakeView()
    assert policy._pins.gain_s(paused(), view) == pytest.approx(0.16 * (1 - math.exp(-1)))
    policy.observe(ToolEnded(0.0, "b", "bash", 15.0))
    assert policy._pins.gain_s(paused(), view) == pytest.approx(0.16 * (1 - math.exp(-2)))
    policy.observe(ToolEnded(0.0, "b", "bash", 0.0))  # smoothed: 0.8 · 15 s
    assert policy._pins.gain_s(paused(), view) == pytest.approx(0.16 * (1 - math.exp(-30 / 12)))


@pytest.mark.parametrize(("free", "rent"), [(15, 0.0), (12.5, 0.1), (10, 0.2), (0, 0.2)])
def test_rent_rises_between_the_watermarks(free: float, rent: float) -> None:
    """10 of 100 blocks for the 2 s that such a pause lasts."""
    policy = mars(*pauses(1.0, 3.0), tool_samples=1)
    view = pressed()
    view.free_blocks = free  # type: ignore[assignment]
    assert policy._pins.rent_s(paused(), view) == pytest.approx(rent)


def test_memory_that_nobody_wants_costs_nothing() -> None:
    policy = mars(*pauses(1.0, 3.0), tool_samples=1)
    view = pressed()
    view.waiting = []
    assert policy._pins.rent_s(paused(), view) == 0.0
    view.waiting = [req("w", num_prompt_tokens=80)]  # 5 of the 10 blocks
    assert policy._pins.rent_s(paused(), view) == pytest.approx(0.1)


def test_kept_while_it_pays_and_asked_again_on_the_common_grid() -> None:
    assert mars().retain(paused(), FakeView(now=2.3)) == Keep(3.0)
    assert mars(review_s=0.2).retain(paused(), FakeView(now=2.2)) == Keep(pytest.approx(2.4))


def test_given_up_when_the_rent_is_higher() -> None:
    """0.16 s to recompute, against a tenth of the engine for 20 s."""
    policy = mars(*pauses(20.0, 20.0), tool_samples=1)
    assert policy.retain(paused(), FakeView()) == Keep(1.0)
    assert policy.retain(paused(), pressed()) == Release()


def test_a_returned_session_keeps_its_hold_under_pressure() -> None:
    policy = mars(*pauses(20.0, 20.0), tool_samples=1)
    waits = paused(held=True, returned=True)
    assert policy.retain(waits, pressed(now=4.0)) == Keep(5.0)


def test_holds_are_bounded_together() -> None:
    view = FakeView(paused={"b": paused("b", num_blocks=45, held=True)})
    assert mars().retain(paused(num_blocks=5), view) == Keep(1.0)
    assert mars().retain(paused(num_blocks=6), view) == Release()


def test_no_retention_no_holds() -> None:
    for off in ({"retention": False}, {"opportunistic": False}):
        assert mars(**off).retain(paused(), FakeView()) == Release()


def test_the_paper_s_opportunistic_part_is_shrinking_and_pinning() -> None:
    """What switching both off leaves is what switching off the part leaves."""
    parts = {"shrinking": False, "retention": False}
    for policy in (mars(opportunistic=False), mars(**parts)):
        assert policy.shrink(req(), 2_048, 300, FakeView()) == 2_048
        assert policy.retain(paused(), FakeView()) == Release()
    assert mars(shrinking=False).retain(paused(), FakeView()) != Release()
    assert mars(retention=False).shrink(req(), 2_048, 300, FakeView()) == 256


def test_reclaim_takes_the_lowest_level_then_the_largest() -> None:
    policy = mars(*served("low", 1_500))
    low = paused("low", num_blocks=5, held=True)
    small, large = (
        paused(name, num_blocks=blocks, held=True) for name, blocks in (("a", 10), ("b", 20))
    )
    needs = running("r")
    assert policy.reclaim([small, low, large], needs, FakeView()) == "low"
    assert policy.reclaim([small, large], needs, FakeView()) == "b"


def test_holds_are_not_given_up_in_vain() -> None:
    """100 blocks are wanted: 89 free and 10 held will not do, unless a hold has one of them."""
    held = [paused("a", held=True)]
    needs = req("n", num_prompt_tokens=1_600)
    assert mars().reclaim(held, needs, FakeView(free_blocks=89)) is None
    assert mars().reclaim(held, needs, FakeView(free_blocks=90)) == "a"
    own = {"n": paused("n", num_blocks=1, held=True, returned=True)}
    assert mars().reclaim(held, needs, FakeView(free_blocks=89, paused=own)) == "a"


@pytest.mark.parametrize("wrong", [{"kv_low": 0.95}, {"review_s": 0.0}, {"aging_s": -1.0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        mars(**wrong)
