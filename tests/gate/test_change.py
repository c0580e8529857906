"""How a side changed, seed by seed, and whether it passes a limit."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsbench.judge.gate.change import absolute, doubt_above, interval, relative, stays_within

numbers = st.floats(0.01, 1e4)
pairs = st.lists(st.tuples(numbers, numbers), min_size=6, max_size=20)
SURE = 0.95


def changed(*by):
    """Seeds that took 10 s and take so much longer."""
    return absolute([10.0] * len(by), [10.0 + one for one in by])


def both(values):
    return [a for a, _ in values], [b for _, b in values]


def test_changes_by_hand():
    base, other = [10.0, 30.0], [12.0, 30.0]
    assert absolute(base, other) == (1.0, (2.0, 0.0))
    of_means, each = relative(base, other)
    assert of_means == pytest.approx(0.05)
    assert each == pytest.approx((0.2, 0.0))


def test_a_bound_is_one_sided():
    # Of 8 seeds one may say otherwise at 95 % on each side: P(X ≤ 1) = 9/256 = 3.5 %.
    found = interval(changed(*range(8)), SURE)
    assert found == (3.5, 1.0, 6.0)
    assert interval(changed(*range(5)), SURE) == (2.0, None, None)


def test_a_doubt_is_the_sign_tests():
    assert doubt_above(changed(*[2.0] * 6), 1.0, SURE) == 1 / 64
    assert doubt_above(changed(*[2.0] * 7, 0.0), 1.0, SURE) == 9 / 256
    assert doubt_above(changed(*[2.0] * 5), 1.0, SURE) == 1.0


def test_the_very_edge_is_within():
    at_the_edge = relative([20.0] * 6, [20.0 * 1.05] * 6)
    assert at_the_edge.each[0] > 0.05  # by its last bit
    assert stays_within(at_the_edge, 0.05, SURE)
    assert doubt_above(at_the_edge, 0.05, SURE) == 1.0


def test_a_few_seeds_that_collapse_are_seen_in_the_mean():
    collapsed = changed(*[0.0] * 8, 50.0)
    assert interval(collapsed, SURE).high == 0.0
    assert not stays_within(collapsed, 1.0, SURE)
    assert stays_within(changed(*[0.0] * 9), 1.0, SURE)


def test_few_seeds_are_never_within():
    assert not stays_within(changed(0.0), 1.0, SURE)
    assert not stays_within(changed(*[0.0] * 5), 1.0, SURE)
    assert stays_within(changed(*[0.0] * 6), 1.0, SURE)


def test_nothing_is_no_share_of_zero_but_zero():
    assert relative([0.0, 0.0], [1.0, 0.0]) is None
    assert relative([0.0, 0.0], [0.0, 0.0]) == (0.0, (0.0, 0.0))
    some = relative([0.0, 2.0], [1.0, 2.0])
    assert some == (0.5, (math.inf, 0.0))


@given(pairs)
def test_a_doubt_and_an_interval_say_the_same(values):
    for change in (absolute(*both(values)), relative(*both(values))):
        low = interval(change, SURE).low
        for limit in (0.0, 0.1, change.of_means / 2):
            sure = doubt_above(change, limit, SURE) <= 0.05
            assert sure == (low > limit and change.of_means > limit)


@given(pairs)
def test_a_side_against_itself_has_changed_by_nothing(values):
    base, _ = both(values)
    for change in (absolute(base, base), relative(base, base)):
        assert interval(change, SURE) == (0.0, 0.0, 0.0)
