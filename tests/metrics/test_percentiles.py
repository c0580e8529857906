"""Percentiles are numpy's, and say how many values they stand on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsbench.core.metrics.percentiles import describe, mean, percentile

numbers = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)


@pytest.mark.parametrize(("percent", "value"), [(0, 1.0), (50, 2.5), (90, 3.7), (100, 4.0)])
def test_a_percentile_lies_between_the_closest_ranks(percent, value):
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == pytest.approx(value)


@given(values=numbers, percent=st.floats(0, 100))
def test_percentiles_equal_numpys_default(values, percent):
    ordered = sorted(values)
    assert percentile(ordered, percent) == pytest.approx(np.percentile(ordered, percent))


@given(values=numbers)
def test_a_distribution_is_ordered_and_never_above_its_maximum(values):
    found = describe(values)
    steps = [found[name] for name in ("p50", "p90", "p95", "p99", "max")]
    assert steps == sorted(steps)
    assert steps[-1] == max(values)


@given(values=st.permutations([0.1, 0.2, 0.3, 1e9, -1e9, 1e-9]))
def test_the_mean_does_not_depend_on_the_order(values):
    assert mean(values) == mean(sorted(values))


def test_what_was_not_measured_is_left_out_and_not_counted_as_zero():
    assert describe([None, 2.0, None, 4.0]) == describe([2.0, 4.0])
    assert describe([None, 2.0, None, 4.0])["n"] == 2


def test_a_distribution_of_nothing_is_none_with_a_count_of_zero():
    assert describe([]) == {
        "n": 0, "mean": None, "p50": None, "p90": None, "p95": None, "p99": None, "max": None,
    }  # fmt: skip


def test_one_value_is_all_of_its_percentiles():
    assert set(describe([7.0]).values()) == {1, 7.0}
