"""Distributions of pauses, by hand-computed values."""

from __future__ import annotations

import math

import pytest

from marsbench_backends.parts.tooltimes import Empirical, Exponential, ToolPauses, kind_of
from marsbench_backends.testing import ended, gone, submitted


def seen(*seconds: float, window: int = 100) -> Empirical:
    found = Empirical(window)
    for value in seconds:
        found.add(value)
    return found


def test_the_cdf_counts_pauses_that_were_no_longer() -> None:
    assert [seen(1, 2, 2, 4).cdf(t) for t in (0.5, 1, 2, 3, 4)] == [0, 0.25, 0.75, 0.75, 1]


def test_a_pause_that_lasts_rules_out_the_shorter_ones() -> None:
    # Of the two pauses longer than 2 s, one had ended by 2 + 3 s.
    assert seen(1, 2, 4, 10).returns_within(3, elapsed_s=2) == 0.5


def test_the_mean_left_is_of_the_longer_ones() -> None:
    assert seen(1, 2, 4, 10).mean_left_s() == 17 / 4
    assert seen(1, 2, 4, 10).mean_left_s(2) == (4 + 10) / 2 - 2


def test_past_the_longest_a_pause_lasts_as_long_again() -> None:
    assert seen(1, 2).mean_left_s(5) == 5
    assert seen(1, 2).returns_within(5, elapsed_s=5) == pytest.approx(1 - math.exp(-1))


def test_old_pauses_leave_the_window() -> None:
    assert seen(9, 1, 2, window=2).sorted == [1, 2]


def test_an_exponential_forgets_what_has_passed() -> None:
    cold = Exponential(2.0)
    assert cold.returns_within(2, elapsed_s=50) == cold.cdf(2) == pytest.approx(1 - math.exp(-1))
    assert cold.mean_left_s(50) == 2


def test_a_gap_is_learned_when_the_next_round_comes() -> None:
    times = ToolPauses(enough=0)
    for signal in (ended("a", 3.0), submitted("a", 5.0, number=1)):
        times.observe(signal)
    found = times.seen(("bash",))
    assert found is not None
    assert found.sorted == [2.0]


def test_a_first_round_teaches_nothing_and_an_ended_session_is_dropped() -> None:
    times = ToolPauses(enough=0)
    for signal in (submitted("b", 1.0), ended("a", 3.0), gone("a", 4.0), submitted("a", 9.0)):
        times.observe(signal)
    assert times.seen(("bash",)) is None


def test_too_few_pauses_of_a_tool_take_those_of_all() -> None:
    times = ToolPauses(enough=2)
    assert isinstance(times.distribution(("x",)), Exponential)
    for seconds in (1.0, 2.0, 3.0):
        times.learn(("bash",), seconds)
    times.learn(("x",), 50.0)
    assert times.distribution(("bash",)).mean_left_s() == 2.0
    assert times.distribution(("x",)).mean_left_s() == 14.0


def test_parallel_tools_are_a_kind_of_their_own() -> None:
    assert kind_of(("b", "a", "b")) == ("a", "b")
