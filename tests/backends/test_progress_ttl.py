"""Progress-TTL: times to live, reserves and marginal admission, from its formulas by hand."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import pytest

from marsbench_backends.parts.progress import EngineTimes, best_ttl_s
from marsbench_backends.policies.progress_ttl import ProgressTtl
from marsbench_backends.signals import FirstToken, Signal
from marsbench_backends.testing import (
    FakeView,
    ended,
    engine,
    gone,
    order,
    play,
    req,
    started,
    submitted,
)  # fmt: skip

TIMES = EngineTimes((0.066, 0.05702, 0.0044057), 0.15, (0.010635, 0.00041928, 1.4205e-7))
WHOLE = {"gain": False, "buffer_tokens": 0}
"""Contexts alone are counted, and no batch makes up for a reserve."""


def waits(policy: ProgressTtl, session: str, now: float) -> bool:
    view = FakeView(now=now)
    return policy.chunk(req(session), 100, view) == 0


def round_of(session: str, at: float, number: int = 0, *, tokens: int = 160) -> list[Signal]:
    """A round that takes a second and finds all that was there."""
    return [
        submitted(session, at, number=number, tokens=tokens - 10),
        started(session, at, number=number, cached=tokens),
        FirstToken(at + 0.5, session, number, 0.5),
        ended(session, at + 1.0, number=number, tokens=tokens),
    ]


# --- what computing takes


def test_a_miss_is_the_prefill_and_what_decodes_lose_beside_it() -> None:
    # 1.85 x (0.066 + 0.05702 x 50 + 0.0044057 x 2,500); its manual has 13.93 s before the 1.85.
    assert TIMES.miss_s(50_000) == pytest.approx(1.85 * 13.93, abs=0.01)
    assert TIMES.miss_s(0) == 0.0


def test_a_batch_decodes_as_the_manual_has_it() -> None:
    assert TIMES.decode_speed(4, 200_000) == pytest.approx(98.23, abs=0.01)


# --- the time to live


def utility(ttl: float, miss: float, mean: float, spread: float) -> float:
    """By its definition, the integral as a sum of small pieces."""
    gaps = NormalDist(mean, spread)
    pieces = 20_000
    step = ttl / pieces
    gained = 0.0
    for piece in range(pieces):
        middle = (piece + 0.5) * step
        density = gaps.pdf(math.log(middle)) / middle
        gained += (miss - middle) * density * step
    return gained - ttl * (1.0 - gaps.cdf(math.log(ttl)))


@pytest.mark.parametrize(
    ("miss", "mean", "spread", "longest"),
    [(20.0, 0.7, 1.1, 32.0), (3.0, 0.0, 0.5, 32.0), (60.0, 2.3, 1.3, 32.0), (60.0, 2.3, 1.3, 10.0)],
)
def test_the_time_to_live_is_worth_most_of_those_that_are_tried(
    miss: float, mean: float, spread: float, longest: float
) -> None:
    found = best_ttl_s(miss, (mean, spread), 0.05, longest)
    assert 0.05 <= found <= min(longest, miss) * (1 + 1e-12)
    most = utility(found, miss, mean, spread)
    factor = (min(longest, miss) / 0.05) ** (1 / 34)
    for other in (found / factor, found * factor):
        if 0.05 <= other <= min(longest, miss):
            assert utility(other, miss, mean, spread) < most


def test_no_wait_pays_where_sessions_come_back_late_or_cost_little() -> None:
    assert best_ttl_s(2.0, (5.0, 0.5), 0.05, 32.0) == 0.0  # in 148 s, for two seconds
    assert best_ttl_s(0.04, (-3.0, 0.5), 0.05, 32.0) == 0.0  # less than the shortest wait


def test_gaps_that_are_all_alike_are_waited_for() -> None:
    assert 3.0 <= best_ttl_s(20.0, (math.log(3.0), 0.0), 0.05, 32.0) < 4.0


def test_until_a_window_of_gaps_was_seen_a_session_is_paused_at_once() -> None:
    story = [engine(), *round_of("a", 0.0), *round_of("b", 0.0)]
    early = play(ProgressTtl(window=3), *story, submitted("c", 2.0))
    assert early._plan.programs.get("a").paused  # type: ignore[union-attr]


def ripe(**settings: Any) -> ProgressTtl:
    """Three sessions of 160 tokens have come back after 2 s three times: a window of three gaps."""
    policy = play(ProgressTtl(**{"window": 3, **WHOLE, **settings}), engine())
    for number in range(4):
        story = [signal for one in "abc" for signal in round_of(one, 3.0 * number, number)]
        play(policy, *sorted(story, key=lambda signal: signal.at))
    return policy  # the last rounds ended at 10 s


def test_then_it_keeps_its_place_for_its_time_to_live() -> None:
    # 150 tokens cost 1.85 x 0.0746 = 0.14 s, less than the 2 s that they are away for: no wait.
    assert ripe()._plan.programs.get("a").ttl_at == math.inf  # type: ignore[union-attr]
    dear = ripe(prefill_s=(20.0, 0.0, 0.0))
    ttl_s = dear._plan.programs.get("a").ttl_at - 10.0  # type: ignore[union-attr]
    assert 2.0 <= ttl_s < 2.5
    dear.waiting_key(req("a"), FakeView(now=10.0 + ttl_s))
    assert dear._plan.programs.get("a").paused  # type: ignore[union-attr]


# --- room


def test_a_new_session_enters_if_it_fits_beside_the_contexts_of_the_active() -> None:
    policy = play(ProgressTtl(**WHOLE), engine(), submitted("a", 0.0, tokens=1_000))
    play(policy, submitted("b", 0.0, tokens=600), submitted("c", 0.0, tokens=601))
    assert not waits(policy, "b", 0.0)  # 1,600 tokens
    assert waits(policy, "c", 0.0)


def test_the_buffer_of_each_counts() -> None:
    policy = play(ProgressTtl(gain=False), engine(), submitted("a", 0.0, tokens=1_000))
    play(policy, submitted("b", 0.0, tokens=401))
    assert waits(policy, "b", 0.0)  # 1,100 + 501 of 1,600


def test_nobody_enters_past_one_that_waits() -> None:
    policy = play(ProgressTtl(**WHOLE), engine(), submitted("a", 0.0, tokens=1_000))
    play(policy, submitted("b", 0.0, tokens=700), submitted("c", 0.0, tokens=10))
    assert waits(policy, "c", 0.0)
    assert not waits(policy, "c", 1.0)  # at the next look whoever fits enters
    assert waits(policy, "b", 1.0)


def test_who_answered_last_enters_first_and_new_ones_after_them() -> None:
    policy = play(ProgressTtl(**WHOLE), engine())
    play(policy, *round_of("a", 0.0), *round_of("b", 2.0), submitted("x", 4.0, tokens=1_600))
    came = ("n", "a", "b")
    play(policy, *(submitted(one, 5.0, number=int(one != "n"), tokens=200) for one in came))
    assert [one.session_id for one in policy._waiting()] == ["b", "a", "n"]
    play(policy, ended("x", 6.5, tokens=1_600, output=10), gone("x", 6.5))
    policy.waiting_key(req("n"), FakeView(now=7.0))
    reqs = [req(one, position=place) for place, one in enumerate(came)]
    assert not any(waits(policy, one, 7.0) for one in came)
    assert order(policy, *reqs, view=FakeView(now=7.0)) == ["n", "a", "b"]  # let in together


def test_a_request_enters_after_300_s_whatever_is_there() -> None:
    policy = play(ProgressTtl(**WHOLE), engine(), submitted("a", 0.0, tokens=1_600))
    play(policy, submitted("b", 10.0, tokens=100))
    view = FakeView(now=20.0)
    assert policy.changes_at(view) <= 310.0
    assert waits(policy, "b", 309.9)
    assert not waits(policy, "b", 310.0)


def test_the_reserve_is_a_rounds_growth_for_each_round_to_come() -> None:
    policy = play(ProgressTtl(window=3, ttl_max_s=0.06, **WHOLE), engine())
    for number in range(4):  # 100 tokens more each time: the mean of the last three
        play(policy, *round_of("a", 3.0 * number, number, tokens=100 * (number + 1)))
    plan = policy._plan
    assert plan.seen.growth_per_round == 100.0
    # Each round found its context, and was paused after it: one in a row, so two are expected.
    assert plan.seen.target_rounds(14) == 2
    play(policy, submitted("b", 20.0, tokens=1_400))
    assert not waits(policy, "b", 20.0)  # 1,400 + 2 x 100
    play(policy, gone("b", 21.0), submitted("c", 22.0, tokens=1_401))
    assert waits(policy, "c", 22.0)


def test_a_round_that_lost_its_context_is_not_continuous() -> None:
    policy = play(ProgressTtl(window=2), engine(), *round_of("a", 0.0, tokens=1_000))
    one = policy._plan.programs.get("a")
    assert one is not None
    play(policy, submitted("a", 5.0, number=1, tokens=1_100))
    play(policy, started("a", 5.0, number=1, cached=900))  # not more than nine tenths
    assert not one.found
    play(policy, started("a", 6.0, number=1, cached=0, resumed=True))
    play(policy, started("a", 6.0, number=1, cached=901))
    assert one.found


# --- a larger batch


def test_one_more_enters_without_reserve_if_the_batch_gains_what_it_costs() -> None:
    """Two decodes where one was: nearly twice the tokens of an answer that takes half a second."""
    policy = ripe(gain=True, prefill_s=(0.0, 0.0, 0.0), rounds_max=50)
    plan = policy._plan
    play(policy, submitted("d", 20.0, tokens=700))
    one = plan.programs.get("d")
    assert one is not None
    before, after = TIMES.decode_speed(1, 700), TIMES.decode_speed(2, 1_500)
    gained = plan._gained_s(plan.programs.request("e", 800, 20.0), [one])
    assert gained == pytest.approx(0.5 * (after / before - 1.0))
    assert plan._gained_s(one, []) < 0.0  # nobody decodes: nothing is gained


def test_what_the_others_lose_is_their_misses_by_the_rounds_that_they_lose() -> None:
    policy = ripe(prefill_s=(1.0, 0.0, 0.0), kept_speed=1.0)
    plan = policy._plan
    for _ in range(3):
        plan.seen.growth.add(100.0)
    target = plan.seen.target_rounds(14)
    play(policy, submitted("d", 20.0, tokens=100))
    one = plan.programs.get("d")
    new = plan.programs.request("e", 200, 20.0)
    assert one is not None
    # d has all its rounds to come; of room for so many, e takes its context and its own growth.
    room = 200.0 + 100.0 * (target + 1)
    assert plan._lost_s(new, [one], room) == pytest.approx((target - 1) / 1 * 1.0)
    assert plan._lost_s(new, [one], 200.0 + 100.0 * target) == math.inf
    assert plan._lost_s(new, [one], 1e9) == 0.0


# --- who makes room


def test_over_capacity_the_longest_segment_is_paused_when_it_has_answered() -> None:
    policy = play(ProgressTtl(**WHOLE), engine(), submitted("a", 0.0, tokens=800))
    play(policy, submitted("b", 1.0, tokens=800), *round_of("z", 2.0))
    for at in (3.0, 4.0):  # answers of ten tokens: room for two of them is short
        policy.waiting_key(req("a"), FakeView(now=at))
    marked = [one.session_id for one in policy._plan.programs if one.marked]
    assert marked == ["a"]
    play(policy, ended("a", 5.0, tokens=810))
    one = policy._plan.programs.get("a")
    assert one is not None
    assert (one.paused, one.marked) == (True, False)


def test_a_segment_of_14_rounds_yields_while_others_wait() -> None:
    policy = play(ProgressTtl(rounds_max=2, window=1_000, **WHOLE), engine())
    one = policy._plan.programs.request("a", 160, 0.0)
    one.rounds = 2
    play(policy, submitted("b", 1.0, tokens=1_600), ended("a", 2.0))
    assert (one.paused, one.yielded) == (True, True)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"ttl_min_s": 40.0}, "ttl_min_s 40.0 must be above 0"), ({"window": 0}, "window must be")],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ProgressTtl(**wrong)
