"""Retention: what is marked, how high and for how long, from its own formulas by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from marsbench_backends.policies.retention import Retention
from marsbench_backends.policy import EvictionRank
from marsbench_backends.signals import Signal
from marsbench_backends.testing import FakeView, ended, gone, play, req, submitted

Z = {0.5: 0.0, 0.9: 1.2815515655446004}
"""Of a standard normal, from a table."""


def ranks(policy: Retention, now: float = 10.0) -> tuple[EvictionRank, ...]:
    return tuple(policy.eviction_order(req("a", num_tokens=50_000), FakeView(now=now)))


def ttl_s(policy: Retention) -> float:
    (whole,) = ranks(policy)
    return whole.until - 10.0


def gaps(*seconds: float) -> Iterator[Signal]:
    """A session that is away for so long, again and again."""
    at = 0.0
    for number, gap in enumerate(seconds):
        yield ended("a", at, number=number)
        yield submitted("a", at + gap, number=number + 1)
        at += gap + 1.0


def test_the_whole_context_is_marked_at_70_for_the_09_quantile() -> None:
    (whole,) = ranks(Retention())
    assert (whole.upto, whole.rank) == (math.inf, 71.0)  # 0 is above what is not marked
    assert whole.until == pytest.approx(10.0 + math.exp(2.28 + 1.34 * Z[0.9]))  # 54.5 s


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({"ttl_max_s": 10.0}, 10.0),
        ({"ttl_min_s": 60.0}, 60.0),
        ({"quantile": 0.5}, math.exp(2.28)),
        ({"log_mean": 500.0}, 600.0),
    ],
)
def test_a_mark_lasts_for_the_quantile_within_its_bounds(
    settings: dict[str, Any], seconds: float
) -> None:
    assert ttl_s(Retention(**settings)) == pytest.approx(seconds)


def test_a_system_prompt_is_marked_higher_and_for_good() -> None:
    system, rest = ranks(Retention(system_tokens=4_096))
    assert system == EvictionRank(4_096, 91.0)
    assert (rest.upto, rest.rank) == (math.inf, 71.0)


def test_only_the_head_of_a_context_may_be_marked() -> None:
    (head,) = ranks(Retention(most_tokens=16_384))
    assert head.upto == 16_384


def test_the_fit_moves_a_tenth_of_the_way_from_the_twentieth_gap_on() -> None:
    before, first = (play(Retention(quantile=0.5), *gaps(*[1.0] * n)) for n in (19, 20))
    assert ttl_s(before) == pytest.approx(math.exp(2.28))
    assert first._fit == pytest.approx((0.9 * 2.28, 0.9 * 1.34))  # ln 1 = 0, and no spread


def test_an_estimate_is_of_the_last_gaps() -> None:
    policy = Retention(quantile=0.5, min_samples=2, window=2, learning=1.0)
    play(policy, *gaps(1.0, math.e, math.e**3))
    assert policy._fit == pytest.approx((2.0, 1.0))  # of 1 and 3 log-seconds


def test_gaps_too_short_and_too_long_teach_nothing() -> None:
    policy = Retention(min_samples=1)
    play(policy, *gaps(0.05, 4_000.0))
    assert policy._fit == (2.28, 1.34)
    play(policy, *gaps(0.1))
    assert policy._fit != (2.28, 1.34)


def child_of_a(**settings: Any) -> Retention:
    one, other = (submitted("a.1", at, number=n, parent_id="a") for n, at in enumerate((0.0, 9.0)))
    return play(Retention(min_samples=1, **settings), one, ended("a.1", 5.0), other)


def test_sub_agents_are_neither_marked_nor_learned_from_unless_it_is_asked_for() -> None:
    child = req("a.1", num_tokens=500)
    without, with_them = child_of_a(), child_of_a(subagents=True)
    assert without.eviction_order(child, FakeView()) == ()
    assert without._fit == (2.28, 1.34)
    assert len(with_them.eviction_order(child, FakeView())) == 1
    assert with_them._fit != (2.28, 1.34)


def test_a_first_round_and_a_session_that_is_over_end_no_gap() -> None:
    policy = play(
        Retention(min_samples=1),
        submitted("b", 1.0), ended("b", 2.0), gone("b", 2.0), submitted("b", 5.0),
    )  # fmt: skip
    assert policy._fit == (2.28, 1.34)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"priority": 101}, "priority must be from 0 to 100"),
        ({"quantile": 1.0}, "between 0 and 1"),
        ({"ttl_min_s": 700.0}, "ttl_min_s 700.0 must be above 0"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Retention(**wrong)
