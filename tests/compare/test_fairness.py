"""Who pays: sizes, tenants, Jain's index, starved sessions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.builders import PLACE
from marsbench.core.metrics.fairness import jain
from marsbench.core.metrics.goodput import goodput
from marsbench.core.metrics.sessions import SessionRecord
from marsbench.judge.compare.fairness import OVER, fairness, size_rows, tenant_rows
from marsbench.judge.compare.kinds import KINDS
from marsbench.judge.compare.points import Place
from marsbench.judge.sweep.folder import Result

HERE = Place(**PLACE, model="m"), "fcfs"


def sessions(slowdowns, tokens=None, tenants=None):
    return [
        session(
            f"s{n}", slowdown, (tokens or [100] * len(slowdowns))[n], tenants[n] if tenants else "a"
        )
        for n, slowdown in enumerate(slowdowns)
    ]


def session(name, slowdown, tokens, tenant):
    """Alone it takes ten seconds; with an infinite slowdown it did not finish."""
    finished = math.isfinite(slowdown)
    return SessionRecord(
        session=name, tenant=tenant, parent=None, arrived_at=0.0, admitted_at=0.0,
        ended_at=slowdown * 10 if finished else None,
        outcome="finished" if finished else "unfinished", reason=None,
        completion_s=slowdown * 10 if finished else None, admission_wait_s=0.0, ideal_s=10.0,
        slowdown=slowdown if finished else None, num_rounds=1, initial_tokens=tokens,
        peak_tokens=tokens, output_tokens=1, preemptions=0,
    )  # fmt: skip


def area(slowdowns):
    run = Result({}, None, None)
    run.__dict__["sessions"] = sessions(slowdowns)
    return KINDS["goodput_area"].take(run)


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
    rows = {row.size: row for row in size_rows(HERE, one, 3.0)}
    assert [rows[n].slowdown_mean for n in ("small", "middle", "long")] == [1.5, 3.5, 5.5]
    assert (rows["long"].from_tokens, rows["long"].to_tokens) == (50_000, 50_001)
    assert (rows[OVER].sessions, rows[OVER].slowdown_max) == (1, 6.0)
    assert [rows[n].good for n in ("small", "middle", "long")] == [1.0, 0.5, 0.0]


def test_a_size_that_nobody_has_says_so():
    one = sessions([1, 2, 3], tokens=[10, 20, 30])
    (over,) = [r for r in size_rows(HERE, one, 3.0) if r.size == OVER]
    assert (over.sessions, over.good, over.slowdown_mean) == (0, None, None)


def test_who_did_not_finish_or_took_ten_times_as_long_is_starved():
    found = fairness(HERE, sessions([1.0, 10.0, 10.5, math.inf]))
    assert (found.starved, found.unfinished, found.worst_slowdown) == (2, 1, 10.5)


def test_jain_over_sizes_is_of_their_means():
    one = sessions([1.0, 1.0, 3.0], tokens=[1, 2, 3])
    assert fairness(HERE, one).jain_sizes == pytest.approx(25 / 33)


def test_tenants_are_told_apart_when_there_are_several():
    one = sessions([1.0, 2.0, 6.0], tenants=["a", "a", "b"])
    a, b = tenant_rows(HERE, one, 3.0, [])
    assert (a.tenant, a.sessions, a.slowdown_mean, a.good) == ("a", 2, 1.5, 1.0)
    assert (b.slowdown_max, b.good) == (6.0, 0.0)
    assert fairness(HERE, one).jain_tenants == pytest.approx(7.5**2 / (2 * (1.5**2 + 36)))
    assert fairness(HERE, sessions([1.0, 2.0])).jain_tenants is None


def test_service_of_tenants_is_pooled_tenth_by_tenth():
    one = sessions([1.0, 2.0], tenants=["a", "b"])
    first = {"a": [10, 30, *[0] * 8], "b": [30, 10, *[0] * 8]}
    second = {"a": [0, 90, *[0] * 8], "b": [0, 10, *[0] * 8]}
    served = [{"fairness": {"service": own}} for own in (first, second)]
    a, b = tenant_rows(HERE, one, 3.0, served)
    # Of 180: 10 + 30 + 90. Of the first tenth 10 of 40, of the second 120 of 140.
    assert (a.service, a.service_low, a.service_high) == (130 / 180, 10 / 40, 120 / 140)
    assert b.service == 50 / 180
    assert tenant_rows(HERE, one, 3.0, [{}]).__next__().service is None


def test_the_area_under_goodput_by_hand():
    # Good from α = 1 on, from 5.5 on (half of the way to 10), and never.
    assert area([1.0, 5.5, math.inf]) == pytest.approx((1 + 0.5 + 0) / 3)


@given(st.lists(st.floats(1, 20), min_size=1, max_size=20))
def test_the_area_is_that_under_the_curve(slowdowns):
    own = sessions(slowdowns)
    grid = [1 + 9 * n / 2_000 for n in range(2_001)]  # so each value is off by 1/2,000 at most
    shares = [goodput(own, alpha, None)["share"] for alpha in grid]
    assert area(slowdowns) == pytest.approx(math.fsum(shares) / len(shares), abs=1e-3)
