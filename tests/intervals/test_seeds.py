"""How many seeds a verdict takes: the sign test, by hand and against scipy."""

from __future__ import annotations

import pytest
from scipy import stats

from marsbench.errors import UsageError
from marsbench.judge.intervals import FEWEST_SEEDS, chance, check_confidence, dissent, fewest, held


def test_six_seeds_are_the_fewest_that_say_anything_at_95_per_cent():
    assert fewest(0.95) == FEWEST_SEEDS == 6
    assert [dissent(n) for n in range(6)] == [None] * 6
    # 2 · 2⁻⁵ = 6.25 % is over 5 %, 2 · 2⁻⁶ = 3.1 % is not.
    assert held(6) == 1 - 2 / 64


def test_nothing_is_said_on_fewer_whatever_the_confidence():
    # At 60 % three seeds would do; the rule is one.
    assert fewest(0.6) == 6
    assert dissent(5, 0.6) is None


def test_a_higher_confidence_takes_more_seeds():
    assert (fewest(0.99), fewest(0.9999)) == (8, 15)


@pytest.mark.parametrize("number", range(6, 60))
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_as_many_may_say_otherwise_as_the_binomial_allows(number, confidence):
    most, half = dissent(number, confidence), stats.binom(number, 0.5)
    if most is None:
        assert 2 * half.cdf(0) > 1 - confidence
        return
    assert 2 * half.cdf(most) <= 1 - confidence
    assert 2 * half.cdf(most + 1) > 1 - confidence
    assert held(number, confidence) == pytest.approx(1 - 2 * half.cdf(most))


def test_a_level_that_is_met_exactly_is_met():
    # 2 · 2⁻⁶ = 1/32, and 1 − 0.96875 = 1/32.
    assert dissent(6, 0.96875) == 0


def test_a_chance_is_the_sign_tests():
    assert chance(6, 6) == 1 / 64
    assert chance(8, 9) == (1 + 9) / 512
    assert chance(0, 9) == 1
    assert chance(7, 10) == pytest.approx(stats.binomtest(7, 10, 0.5, alternative="greater").pvalue)


@pytest.mark.parametrize("confidence", [0.5, 1.0, 95, -1, 0.99999])
def test_a_confidence_that_is_none_is_refused(confidence):
    with pytest.raises(UsageError, match=r"above 0\.5 and at most 0\.9999"):
        check_confidence(confidence)
