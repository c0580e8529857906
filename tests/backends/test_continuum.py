"""Continuum's Eq. 2, its order and its deadlock rule, by hand."""

from __future__ import annotations

import math

import pytest

from marsbench_backends.parts.correlation import Correlation
from marsbench_backends.policies.continuum import Continuum, best_cold_ttl_s, best_ttl_s
from marsbench_backends.policies.continuum_static import ContinuumStatic
from marsbench_backends.policy import Keep, Policy, Release
from marsbench_backends.signals import Signal
from marsbench_backends.testing import (
    FakeView,
    ended,
    gone,
    order,
    paused,
    play,
    req,
    running,
    started,
    submitted,
)


@pytest.mark.parametrize(
    ("benefit_s", "ttl_s"),
    [
        (4.0, 1.0),  # 4 x 3/4 - 1 = 2 against 4 - 5 = -1
        (20.0, 5.0),  # 20 x 3/4 - 1 = 14 against 20 - 5 = 15
        (1.0, 0.0),  # 1 x 3/4 - 1 < 0: not worth it
        (-1.0, 0.0),
    ],
)
def test_the_ttl_is_the_duration_that_pays_best(benefit_s: float, ttl_s: float) -> None:
    assert best_ttl_s(benefit_s, [1.0, 1.0, 1.0, 5.0]) == ttl_s


@pytest.mark.parametrize(("benefit_s", "ttl_s"), [(math.e, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_before_enough_is_known_the_ttl_is_the_log_of_the_benefit(
    benefit_s: float, ttl_s: float
) -> None:
    assert best_cold_ttl_s(benefit_s, 1.0) == pytest.approx(ttl_s)


def test_a_slower_exponential_scales_the_ttl() -> None:
    # Maximum of 2e (1 - exp(-t / 2)) - t: at t = 2 ln e.
    assert best_cold_ttl_s(2 * math.e, 2.0) == pytest.approx(2.0)


def pauses(*seconds: float, session: str = "z") -> list[Signal]:
    """A session that comes back after each of these times."""
    story, now = [submitted(session, 0.0)], 0.0
    for number, gap in enumerate(seconds, 1):
        story += [ended(session, now, number=number - 1), submitted(session, now + gap)]
        now += gap
    return story


def test_the_ttl_of_a_pause() -> None:
    # Reload 160 tokens = 0.16 s, T = 3.84 s: the benefit is 4 s.
    policy = Continuum(cold_samples=3)
    play(policy, *pauses(1.0, 1.0, 1.0, 5.0))
    play(policy, started("z", evicted=True, waited=3.84))
    assert policy.retain(paused("a"), FakeView(now=7.0)) == Keep(8.0)
    assert policy.retain(paused("a", held=True), FakeView(now=8.0)) == Release()
    assert policy.retain(paused("a", held=True, returned=True), FakeView(now=8.0)) == Keep()


def test_a_cold_start_believes_in_exp_one() -> None:
    policy = play(Continuum(), started("z", evicted=True, waited=math.e - 0.16))
    assert policy._ttl_s(paused("a"), FakeView()) == pytest.approx(1.0)
    assert Continuum().retain(paused("a"), FakeView()) == Release()  # 0.16 s is worth no wait


def test_t_is_the_mean_delay_of_rounds_whose_kv_was_gone() -> None:
    policy = Continuum(delays=2)
    assert policy._delay_s == 0.0
    for waited in (9.0, 1.0, 3.0):
        play(policy, started(evicted=True, waited=waited))
    play(policy, started(evicted=False, waited=50.0))
    play(policy, started(evicted=True, waited=50.0, resumed=True))
    assert policy._delay_s == 2.0


def test_eta_is_one_when_rounds_done_tell_the_rounds_left() -> None:
    # (1, 2), (2, 1): a perfect line. With (1, 1) of a session of two rounds: r = -1/2.
    policy = play(Continuum(), gone("a", rounds=3))
    assert policy._eta == 1.0
    assert play(policy, gone("b", rounds=2))._eta == pytest.approx(0.5)
    assert Continuum()._eta == 1.0


def test_correlation_against_the_textbook() -> None:
    found = Correlation()
    for x, y in ((1, 2), (2, 4), (3, 5), (4, 4), (5, 5)):
        found.add(x, y)
    assert found.value() == pytest.approx(6 / math.sqrt(10 * 6))
    assert Correlation().value() is None


def arrivals(policy: Policy, **at: float) -> None:
    for session, time in at.items():
        policy.observe(submitted(session, time))


def test_preempted_then_pinned_then_by_the_sessions_arrival() -> None:
    policy = Continuum()
    arrivals(policy, first=0.0, second=1.0, pinned=2.0, thrown=3.0)
    view = FakeView(paused={"pinned": paused("pinned", held=True), "first": paused("first")})
    reqs = req("second"), req("pinned"), req("first"), req("thrown", num_preemptions=1)
    assert order(policy, *reqs, view=view) == ["thrown", "pinned", "first", "second"]


@pytest.mark.parametrize("policy", [Continuum(), ContinuumStatic()], ids=["", "static"])
def test_the_session_that_came_last_is_preempted(policy: Policy) -> None:
    arrivals(policy, a=0.0, b=1.0)
    assert policy.victim([running("b"), running("a")], FakeView()).session_id == "b"


def test_a_deadlock_is_broken_at_the_latest_session() -> None:
    policy = Continuum()
    arrivals(policy, a=0.0, b=1.0)
    held = [paused("b"), paused("a")]
    assert policy.reclaim(held, req("x"), FakeView()) == "b"
    assert policy.reclaim(held, req("x"), FakeView(running=[running("y")])) is None


# --- the public code


def test_the_static_pin_is_two_seconds() -> None:
    policy = ContinuumStatic()
    assert policy.retain(paused("a"), FakeView(now=5.0)) == Keep(7.0)
    assert policy.retain(paused("a", held=True), FakeView(now=7.0)) == Release()
    assert policy.retain(paused("a", held=True, returned=True), FakeView(now=7.0)) == Keep()


def test_a_tool_whose_mean_gap_is_longer_is_not_pinned_for() -> None:
    policy = play(ContinuumStatic(), *pauses(1.0, 3.0))
    assert isinstance(policy.retain(paused("a"), FakeView()), Keep)  # the mean is just 2 s
    assert play(policy, *pauses(2.5, session="y")).retain(paused("a"), FakeView()) == Release()
    assert isinstance(policy.retain(paused("a", tools=("read",)), FakeView()), Keep)


def test_the_static_order_is_pinned_then_by_arrival() -> None:
    policy = ContinuumStatic()
    arrivals(policy, a=0.0, b=1.0)
    view = FakeView(paused={"b": paused("b", held=True)})
    assert order(policy, req("a"), req("b"), view=view) == ["b", "a"]


def test_with_one_request_running_the_pin_that_ends_last_yields() -> None:
    held = [paused("a", held_until=3.0), paused("b", held_until=5.0)]
    one, two = [running("x")], [running("x"), running("y")]
    assert ContinuumStatic().reclaim(held, req("z"), FakeView(running=one)) == "b"
    assert ContinuumStatic().reclaim(held, req("z"), FakeView(running=two)) is None
