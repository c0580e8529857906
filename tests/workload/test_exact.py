"""exp, log and the normal distribution: true to the last place, and one way of computing them."""

from __future__ import annotations

import math
from decimal import Decimal
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsbench.core.workload.exact import Lines, exp, log, microseconds, normal_cdf
from marsbench_backends import exact

POSITIVE = st.floats(1e-300, 1e300)
EXPONENTS = st.floats(-700, 700)


def off(found: float, true: Decimal) -> float:
    """Units in the last place between the two."""
    return float(abs(Decimal(found) - true) / Decimal(math.ulp(found)))


@given(EXPONENTS)
def test_exp_is_within_a_unit_in_the_last_place(x: float) -> None:
    assert off(exact.exp(x), Decimal(x).exp()) < 1.0


@given(POSITIVE)
def test_log_is_within_a_unit_in_the_last_place(x: float) -> None:
    assert off(exact.log(x), Decimal(x).ln()) < 1.0


def test_log_is_so_near_1_too() -> None:
    for x in (1.0, math.nextafter(1.0, 2.0), math.nextafter(1.0, 0.0), 0.999, 1.001):
        assert off(exact.log(x), Decimal(x).ln()) < 1.0


@given(st.lists(EXPONENTS, min_size=1), st.lists(POSITIVE, min_size=1))
def test_arrays_are_computed_as_single_numbers_are(powers: list[float], xs: list[float]) -> None:
    assert exp(np.array(powers)).tolist() == [exact.exp(x) for x in powers]
    assert log(np.array(xs)).tolist() == [exact.log(x) for x in xs]


def test_exp_reaches_from_zero_to_the_largest_double() -> None:
    assert exact.exp(-math.inf) == exact.exp(-747.0) == 0.0
    assert exact.exp(0.0) == 1.0
    assert exact.exp(-745.0) == math.exp(-745.0)
    with pytest.raises(OverflowError):
        exact.exp(710.0)
    assert exp(np.array([-1e9, -747.0, 0.0])).tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("x", [0.0, -1.0, math.inf, math.nan])
def test_there_is_no_logarithm_of_what_is_not_a_positive_number(x: float) -> None:
    with pytest.raises(ValueError, match="no logarithm"):
        exact.log(x)


@given(st.floats(0.01, 1.5), st.integers(0, 300))
def test_a_power_is_so_many_factors(base: float, exponent: int) -> None:
    assert exact.power(base, exponent) == pytest.approx(base**exponent, rel=1e-13)


def test_the_normal_distribution_is_in_order_and_true_to_1e_15() -> None:
    z = np.linspace(-8.5, 8.5, 8193)
    found = normal_cdf(z)
    true = [NormalDist().cdf(float(x)) for x in z]
    assert np.abs(found - true).max() < 1e-15
    assert (np.diff(found) >= 0).all()
    assert found[-1] == 1.0


def test_lines_go_through_their_points_and_are_flat_outside() -> None:
    lines = Lines.through(np.array([1.0, 1.0, 2.0, 4.0]), np.array([0.0, 5.0, 6.0, 16.0]))
    assert lines.at([0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 9.0]).tolist() == [0, 5, 5.5, 6, 11, 16, 16]
    assert [lines.one(x) for x in (0.0, 1.5, 4.0, 9.0)] == [0, 5.5, 16, 16]


def test_whole_microseconds_print_as_such() -> None:
    assert microseconds(np.array([0.0202691234, 1e-7, 86_399.9999996])).tolist() == [
        0.020269,
        0.0,
        86_400.0,
    ]


@given(st.floats(-9.0, 9.0))
def test_one_share_of_a_normal_is_as_the_library_has_it(z: float) -> None:
    assert exact.normal_cdf(z) == pytest.approx(NormalDist().cdf(z), abs=2e-15)
    assert (exact.normal_cdf(-9.1), exact.normal_cdf(9.1)) == (0.0, 1.0)


@given(st.floats(0.001, 0.999))
def test_a_quantile_is_where_its_share_lies_below(share: float) -> None:
    found = exact.normal_quantile(share)
    assert found == pytest.approx(NormalDist().inv_cdf(share), abs=1e-12)
    assert exact.normal_cdf(math.nextafter(found, -math.inf)) <= share <= exact.normal_cdf(found)


@pytest.mark.parametrize("share", [0.0, 1.0, math.nan])
def test_no_quantile_is_of_all_or_nothing(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        exact.normal_quantile(share)
