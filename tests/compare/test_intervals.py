"""Bootstrap intervals: by hand where the draws are few, by property everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsbench.compare.intervals import Drawn, difference, interval, picks, ratio, weights

numbers = st.floats(0.01, 1e4)
pairs = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12)


def drawn(values):
    return Drawn(float(np.mean(values)), weights(len(values), 500) @ np.array(values))


def test_two_units_are_drawn_as_both_or_one_of_them_twice():
    shares = weights(2, 4000)
    both = (shares[:, 0] == 0.5).mean()
    assert both == pytest.approx(0.5, abs=0.03)
    assert (shares[:, 0] == 1).mean() == pytest.approx(0.25, abs=0.03)


def test_a_mean_of_two_reaches_from_one_to_the_other():
    assert interval(drawn([1.0, 3.0])) == (2.0, 1.0, 3.0)


def test_a_draw_takes_as_many_units_as_there_are():
    taken = picks(7, 300)
    assert taken.shape == (300, 7)
    assert set(np.unique(taken)) == set(range(7))


def test_what_both_sides_share_cancels_in_the_difference():
    noisy, shifted = drawn([1.0, 100.0, 1000.0]), drawn([2.0, 101.0, 1001.0])
    assert interval(difference(noisy, shifted)) == pytest.approx((1.0, 1.0, 1.0))


def test_a_ratio_that_is_the_same_in_every_seed_has_no_width():
    assert interval(ratio(drawn([1.0, 10.0]), drawn([2.0, 20.0]))) == pytest.approx((2, 2, 2))


def test_a_ratio_to_zero_is_not_known():
    assert ratio(drawn([0.0, 0.0]), drawn([1.0, 1.0])) == (None, None)
    assert interval(ratio(drawn([0.0, 1.0]), drawn([1.0, 1.0]))) == (2.0, None, None)


def test_without_draws_there_are_no_bounds():
    assert interval(Drawn(3.0, None)) == (3.0, None, None)
    assert difference(Drawn(3.0, None), drawn([1.0, 3.0])) == (-1.0, None)
    assert interval(Drawn(1.0, np.array([1.0, np.inf]))) == (1.0, None, None)


@given(pairs)
def test_the_estimate_is_inside_its_interval(values):
    base, other = drawn([a for a, _ in values]), drawn([b for _, b in values])
    for one in (base, difference(base, other), ratio(base, other)):
        value, low, high = interval(one)
        assert low <= value <= high


@given(pairs)
def test_swapped_sides_give_the_mirror(values):
    base, other = drawn([a for a, _ in values]), drawn([b for _, b in values])
    value, low, high = interval(difference(base, other))
    scale = max(abs(x) for pair in values for x in pair)
    mirrored = interval(difference(other, base))
    assert mirrored == pytest.approx((-value, -high, -low), abs=1e-9 * scale)


@given(pairs)
def test_a_run_against_itself_differs_by_nothing(values):
    one = drawn([a for a, _ in values])
    assert interval(difference(one, one)) == (0.0, 0.0, 0.0)
    assert interval(ratio(one, one)) == pytest.approx((1.0, 1.0, 1.0))


def test_a_lower_confidence_is_narrower():
    one = drawn([float(n) for n in range(10)])
    wide, narrow = interval(one, 0.95), interval(one, 0.5)
    assert wide.low < narrow.low < narrow.high < wide.high
