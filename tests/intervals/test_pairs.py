"""The typical seed, and on which side of another it lies."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from marsbench.judge.intervals import UNKNOWN, changes, differences, ratios, side, typical

numbers = st.floats(0.01, 1e4)
pairs = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20)


def both(values):
    return [a for a, _ in values], [b for _, b in values]


def test_six_seeds_reach_from_lowest_to_highest():
    assert typical([6.0, 1.0, 5.0, 2.0, 4.0, 3.0]) == (3.5, 1.0, 6.0)


def test_nine_seeds_leave_one_out_at_each_end():
    assert typical([float(n) for n in range(9)]) == (4.0, 1.0, 7.0)


def test_five_seeds_have_a_middle_and_no_interval():
    assert typical([3.0, 1.0, 2.0, 5.0, 4.0]) == (3.0, None, None)
    assert typical([]) == UNKNOWN


def test_pairs_by_hand():
    base, other = [10.0, 20.0], [15.0, 10.0]
    assert differences(base, other) == [5.0, -10.0]
    assert ratios(base, other) == [1.5, 0.5]
    assert changes(base, other) == [0.5, -0.5]


def test_what_is_equal_but_for_its_last_bits_has_not_changed():
    assert differences([0.1 + 0.2], [0.3]) == [0.0]
    assert ratios([0.1 + 0.2], [0.3]) == [1.0]
    assert changes([0.1 + 0.2], [0.3]) == [0.0]


def test_there_is_no_ratio_to_nothing_and_a_change_from_nothing_is_infinite():
    assert ratios([0.0, 1.0], [1.0, 1.0]) is None
    assert changes([0.0, 0.0], [1.0, 0.0]) == [math.inf, 0.0]


def test_one_seed_says_nothing_and_neither_do_five():
    for number in range(1, 6):
        assert side([2.0] * number, [1.0] * number) == "unclear"
    assert side([2.0] * 6, [1.0] * 6) == "lower"
    assert side([1.0] * 6, [2.0] * 6) == "higher"


def test_of_nine_seeds_one_may_say_otherwise():
    base = [10.0] * 9
    assert side(base, [*[9.0] * 8, 11.0]) == "lower"
    assert side(base, [*[9.0] * 7, 11.0, 11.0]) == "unclear"


def test_a_tie_is_not_on_either_side():
    assert side([1.0] * 20, [1.0] * 20) == "unclear"
    assert side([10.0] * 6, [*[9.0] * 5, 10.0]) == "unclear"


def test_what_is_lower_in_most_seeds_and_collapses_in_one_is_not_lower():
    assert side([10.0] * 9, [*[9.0] * 8, 100.0]) == "unclear"


def test_a_higher_confidence_takes_more():
    assert side([2.0] * 6, [1.0] * 6, 0.99) == "unclear"
    assert side([2.0] * 8, [1.0] * 8, 0.99) == "lower"


@given(pairs)
def test_the_median_is_inside(values):
    for one in (*both(values), differences(*both(values))):
        value, low, high = typical(one)
        assert low is None or low <= value <= high


@given(pairs)
def test_swapped_sides_give_the_mirror(values):
    base, other = both(values)
    mirror = {"higher": "lower", "lower": "higher", "unclear": "unclear"}
    assert side(other, base) == mirror[side(base, other)]
    value, low, high = typical(differences(base, other))
    expected = (-value, None, None) if low is None else (-value, -high, -low)
    assert typical(differences(other, base)) == expected


@given(pairs)
def test_the_order_of_seeds_does_not_matter(values):
    base, other = both(values)
    assert side(base, other) == side(base[::-1], other[::-1])
    assert typical(differences(base, other)) == typical(differences(base[::-1], other[::-1]))


@given(pairs)
def test_differences_and_ratios_say_the_same(values):
    apart, times = typical(differences(*both(values))), typical(ratios(*both(values)))
    if apart.low is not None:
        assert (apart.low > 0) == (times.low > 1)
        assert (apart.high < 0) == (times.high < 1)
