"""The interval of a paired change: by hand, against scipy, and by property."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from marsbench.gate.paired import absolute, doubt_above, interval, relative

numbers = st.floats(0.01, 1e4)
pairs = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12)


def test_a_ratio_of_means_by_hand():
    # Means 20 and 30: +50 %. Residuals 15 − 15, 45 − 45 are 0: no doubt at all.
    assert relative([10.0, 30.0], [15.0, 45.0]) == (0.5, 0.0, 1)
    # Means 20 and 22. Residuals of 1.1: 12 − 11 = 1 and 32 − 33 = −1; their deviation √2.
    change = relative([10.0, 30.0], [12.0, 32.0])
    assert change.value == pytest.approx(0.1)
    assert change.error == pytest.approx(math.sqrt(2) / math.sqrt(2) / 20)


def test_a_mean_difference_is_students():
    base, other = [1.0, 2.0, 3.0, 4.0], [1.5, 2.0, 4.0, 5.5]
    found = interval(absolute(base, other), 0.975)
    expected = stats.ttest_rel(other, base).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_doubt_is_students():
    base, other = [1.0, 2.0, 3.0, 4.0], [1.5, 2.0, 4.0, 5.5]
    expected = stats.ttest_1samp([0.5, 0.0, 1.0, 1.5], 0.2, alternative="greater").pvalue
    assert doubt_above(absolute(base, other), 0.2) == pytest.approx(expected)


def test_one_pair_says_nothing_unless_it_is_equal():
    assert interval(absolute([1.0], [2.0]), 0.95) == (1.0, None, None)
    assert interval(relative([1.0], [2.0]), 0.95) == (1.0, None, None)
    assert doubt_above(absolute([1.0], [2.0]), 0.0) == 1.0
    assert interval(absolute([1.0], [1.0]), 0.95) == (0.0, 0.0, 0.0)
    assert interval(relative([1.0], [1.0]), 0.95) == (0.0, 0.0, 0.0)


def test_nothing_is_no_share_of_zero_but_zero():
    assert relative([0.0, 0.0], [1.0, 0.0]) is None
    assert relative([0.0, 0.0], [0.0, 0.0]) == (0.0, 0.0, 1)


@given(pairs)
def test_the_estimate_is_inside(values):
    base, other = [a for a, _ in values], [b for _, b in values]
    for change in (absolute(base, other), relative(base, other)):
        value, low, high = interval(change, 0.95)
        assert low <= value <= high


@given(pairs)
def test_swapped_sides_give_the_mirror(values):
    base, other = [a for a, _ in values], [b for _, b in values]
    value, low, high = interval(absolute(base, other), 0.95)
    assert interval(absolute(other, base), 0.95) == pytest.approx((-value, -high, -low))


@given(pairs)
def test_a_side_against_itself_has_changed_by_nothing(values):
    base = [a for a, _ in values]
    for change in (absolute(base, base), relative(base, base)):
        assert interval(change, 0.95) == (0.0, 0.0, 0.0)


@given(pairs, st.floats(0.1, 10))
def test_a_ratio_does_not_depend_on_the_unit(values, factor):
    base, other = [a for a, _ in values], [b for _, b in values]
    one = interval(relative(base, other), 0.95)
    scaled = interval(relative([factor * a for a in base], [factor * b for b in other]), 0.95)
    assert scaled == pytest.approx(one, rel=1e-6, abs=1e-6)
