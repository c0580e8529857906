"""Arrivals: what a user types, and the times that come of it."""

from __future__ import annotations

import numpy as np
import pytest

from marsbench.core.workload.arrivals import Arrivals
from marsbench.core.workload.draws import stream
from marsbench.errors import UsageError


def times(text: str, count: int = 2_000, rate: float = 1.0) -> list[float]:
    return Arrivals.parse(text).times(count, rate, stream(3, "arrivals"))


def cv(found: list[float]) -> float:
    gaps = np.diff(found)
    return float(gaps.std() / gaps.mean())


@pytest.mark.parametrize("text", ["poisson", "fixed", "gamma:3.5", "burst:8", "closed:4"])
def test_what_is_typed_is_what_is_said(text: str) -> None:
    assert str(Arrivals.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("poison", "Did you mean 'poisson'"),
        ("", "Unknown arrivals ''"),
        ("gamma", "needs a CV above 0; type for example gamma:3.5"),
        ("gamma:0", "needs a CV above 0"),
        ("gamma:nan", "needs a CV above 0"),
        ("burst:0", "needs a group size"),
        ("burst:1.5", "needs a group size"),
        ("closed:-1", "needs a number of lanes"),
        ("fixed:3", "fixed takes no parameter; type fixed"),
    ],
)
def test_a_wrong_one_says_what_to_type(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Arrivals.parse(text)


@pytest.mark.parametrize("text", ["poisson", "fixed", "gamma:2", "burst:8"])
def test_sessions_arrive_in_order_from_0_at_the_rate(text: str) -> None:
    found = times(text, count=4_000, rate=5.0)
    assert found[0] == 0
    assert found == sorted(found)
    assert len(found) / found[-1] == pytest.approx(5.0, rel=0.15)


@pytest.mark.parametrize(("text", "expected"), [("fixed", 0), ("poisson", 1), ("gamma:3.5", 3.5)])
def test_gaps_vary_as_much_as_asked(text: str, expected: float) -> None:
    assert cv(times(text, count=20_000)) == pytest.approx(expected, rel=0.15, abs=1e-9)


def test_bursts_arrive_together() -> None:
    found = times("burst:4", count=10)
    assert [found.count(t) for t in dict.fromkeys(found)] == [4, 4, 2]


@pytest.mark.parametrize("text", ["poisson", "fixed", "gamma:3.5", "burst:8"])
def test_more_sessions_extend_the_same_arrivals(text: str) -> None:
    assert times(text, count=50)[:30] == pytest.approx(times(text, count=30))


@pytest.mark.parametrize("text", ["poisson", "gamma:3.5", "burst:8"])
def test_another_rate_stretches_the_same_pattern(text: str) -> None:
    stretched = [2 * t for t in times(text, rate=1.0)]
    # Both are whole microseconds.
    assert times(text, rate=0.5) == pytest.approx(stretched, rel=1e-9, abs=2e-6)


def test_lanes_have_no_times() -> None:
    assert Arrivals.parse("closed:4").lanes == 4
    assert times("closed:4", count=3) == [0.0, 0.0, 0.0]
    assert Arrivals.parse("burst:4").lanes is None
