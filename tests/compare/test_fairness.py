"""Who pays: sizes, tenants, Jain's index, starved sessions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.builders import PLACE
from marsbench.core.metrics.percentiles import describe
from marsbench.judge.compare.fairness import OVER, fairness, jain, size_rows, sizes, tenant_rows
from marsbench.judge.compare.points import Place
from marsbench.judge.compare.sessions import Sessions, area, share_within, statistics

HERE = Place(**PLACE, model="m")


def sessions(slowdowns, tokens=None, tenants=None):
    n = len(slowdowns)
    slowdown = np.array(slowdowns, dtype=float)
    return Sessions(
        tuple(f"s{i}" for i in range(n)),
        tuple(tenants or ["default"] * n),
        np.where(np.isinf(slowdown), np.nan, slowdown * 10),
        slowdown,
        np.array(tokens or [100] * n, dtype=float),
    )


def told(one, alpha=3.0):
    return fairness(HERE, "fcfs", one, sizes(one))


def test_jain_by_hand():
    assert jain([2.0, 2.0, 2.0]) == 1
    assert jain([1.0, 0.0, 0.0, 0.0]) == 0.25
    assert jain([1.0, 2.0, 3.0]) == pytest.approx(36 / 42)
    assert jain([]) is None


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=20))
def test_jain_lies_between_one_nth_and_one(values):
    assert 1 / len(values) - 1e-9 <= jain(values) <= 1 + 1e-9


def test_thirds_by_context_and_those_over_50k_beside_them():
    one = sessions([1, 2, 3, 4, 5, 6], tokens=[10, 20, 30, 40_000, 50_000, 50_001])
    rows = {row.size: row for row in size_rows(HERE, "fcfs", one, sizes(one), 3.0)}
    assert [rows[n].slowdown_mean for n in ("small", "middle", "long")] == [1.5, 3.5, 5.5]
    assert (rows["long"].from_tokens, rows["long"].to_tokens) == (50_000, 50_001)
    assert (rows[OVER].sessions, rows[OVER].slowdown_max) == (1, 6.0)
    assert [rows[n].good for n in ("small", "middle", "long")] == [1.0, 0.5, 0.0]


def test_a_size_that_nobody_has_says_so():
    one = sessions([1, 2, 3], tokens=[10, 20, 30])
    (over,) = [r for r in size_rows(HERE, "fcfs", one, sizes(one), 3.0) if r.size == OVER]
    assert (over.sessions, over.good, over.slowdown_mean) == (0, None, None)


def test_who_did_not_finish_or_took_ten_times_as_long_is_starved():
    found = told(sessions([1.0, 10.0, 10.5, math.inf]))
    assert (found.starved, found.unfinished, found.worst_slowdown) == (2, 1, 10.5)


def test_jain_over_sizes_is_of_their_means():
    one = sessions([1.0, 1.0, 3.0], tokens=[1, 2, 3])
    assert told(one).jain_sizes == pytest.approx(25 / 33)


def test_tenants_are_told_apart_when_there_are_several():
    one = sessions([1.0, 2.0, 6.0], tenants=["a", "a", "b"])
    a, b = tenant_rows(HERE, "fcfs", one, 3.0)
    assert (a.tenant, a.sessions, a.slowdown_mean, a.good) == ("a", 2, 1.5, 1.0)
    assert (b.slowdown_max, b.good) == (6.0, 0.0)
    assert told(one).jain_tenants == pytest.approx(7.5**2 / (2 * (1.5**2 + 36)))
    assert told(sessions([1.0, 2.0])).jain_tenants is None


def test_the_area_under_goodput_by_hand():
    # Good from α = 1 on, from 5.5 on (half of the way to 10), and never.
    assert area(np.array([1.0, 5.5, math.inf])) == pytest.approx((1 + 0.5 + 0) / 3)


@given(st.lists(st.floats(1, 20), min_size=1, max_size=20))
def test_the_area_is_that_under_the_curve(slowdowns):
    values = np.array(slowdowns)
    grid = np.linspace(1, 10, 2_001)  # so each value is off by 1/2,000 at most
    under = np.mean([share_within(values, alpha) for alpha in grid])
    assert float(area(values)) == pytest.approx(under, abs=1e-3)


@given(st.lists(st.floats(1, 20), min_size=1, max_size=20))
def test_figures_of_draws_are_those_of_runs(slowdowns):
    one = sessions(slowdowns)
    expected = describe(slowdowns)
    for name, of in statistics((3.0,)).items():
        found = float(of(one.latency_s, one.slowdown))
        if name.startswith("slowdown_"):
            assert found == pytest.approx(expected[name.removeprefix("slowdown_")])
        if name.startswith("latency_"):
            key = name.removeprefix("latency_").removesuffix("_s")
            assert found == pytest.approx(10 * expected[key])
