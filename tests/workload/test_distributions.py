"""Mixtures of lognormals: quantiles, clips, zeros and bulk loads."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from marsbench.core.workload.distributions import Append, LogNormals, phi

MIXTURE = LogNormals(w=(0.3, 0.7), mu=(3.6, 6.5), sigma=(1.2, 0.3), clip=(1, 25_000))
FIELDS: dict[str, Any] = {"median": 100, "sigma": 1.0, "clip": [1, 1_000]}


def single(**fields: Any) -> LogNormals:
    return LogNormals.model_validate(FIELDS | fields)


def append(**fields: Any) -> Append:
    return Append.model_validate(FIELDS | fields)


@given(st.floats(-8, 8))
def test_phi_is_the_normal_distribution(z: float) -> None:
    assert float(phi(z)) == pytest.approx(NormalDist().cdf(z), abs=2e-7)


@given(st.floats(0.001, 0.999))
def test_a_quantile_has_its_share_below(u: float) -> None:
    assert float(MIXTURE.cdf(MIXTURE.quantile(u))) == pytest.approx(u, abs=3e-6)


def test_a_single_lognormal_is_given_by_its_median() -> None:
    assert float(single().quantile(0.5)) == pytest.approx(100)
    assert float(single().quantile(NormalDist().cdf(1))) == pytest.approx(100 * np.e, rel=1e-4)


def test_values_beyond_the_clip_sit_on_it() -> None:
    low, high = single(clip=[50, 200]).quantile([0.001, 0.999])
    assert (low, high) == (50, 200)
    assert float(single(clip=[50, 200]).cdf(200)) == 1
    assert float(single(clip=[50, 200]).cdf(49)) == 0


def test_uniform_numbers_give_the_distribution() -> None:
    values = MIXTURE.quantile(np.random.default_rng(1).random(20_000))
    for share in (0.1, 0.5, 0.9):
        assert np.mean(values <= MIXTURE.quantile(share)) == pytest.approx(share, abs=0.01)


def test_zeros_below_bulk_loads_on_top() -> None:
    bulk = {"p": 0.1, "median": 5_000, "sigma": 0.1, "clip": [2_000, 9_000]}
    values = append(p_zero=0.2, bulk=bulk).quantile(np.linspace(0, 0.9999, 2_000))
    assert np.mean(values == 0) == pytest.approx(0.2, abs=0.01)
    assert np.mean(values >= 2_000) == pytest.approx(0.1, abs=0.01)
    assert list(values) == sorted(values)
    assert append(p_zero=0.2, bulk=bulk).quantile(0.55) == pytest.approx(100, rel=0.001)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"median": -1}, "median must be a number above 0"),
        ({"sigma": 0}, "greater than 0"),
        ({"clip": [5, 1]}, r"clip must be \[low, high\]"),
        ({"sigmas": 1}, "sigmas"),
    ],
)
def test_a_distribution_that_cannot_be_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        single(**fields)


@pytest.mark.parametrize(
    ("w", "complaint"), [((0.3, 0.3), "must add up to 1"), ((1.0,), "the same length")]
)
def test_a_mixture_that_cannot_be_is_refused(w: tuple[float, ...], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        LogNormals(w=w, mu=(1, 2), sigma=(1, 1), clip=(0, 1))


def test_bulk_loads_are_larger_than_other_appends() -> None:
    with pytest.raises(ValidationError, match="must not be smaller"):
        append(bulk={"p": 0.1, "median": 500, "sigma": 1, "clip": [500, 900]})
