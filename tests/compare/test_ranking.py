"""Rankings, and whether they hold."""

from __future__ import annotations

import pytest

from marsbench.compare.ranking import Standing, held, is_ahead, ranking, turned
from reproduce.builders import matrix, place, point


def at(variation, **standings):
    where = place(variation=variation)
    return [
        point(name, where, goodput_3=goodput, latency_mean_s=latency)
        for name, (goodput, latency) in standings.items()
    ]


def test_goodput_ranks_and_latency_breaks_ties():
    standing = {"a": Standing(0.5, 10), "b": Standing(0.9, 99), "c": Standing(0.5, 9)}
    assert ranking(standing) == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("a", "b", "ahead"),
    [
        ((0.9, 100), (0.8, 10), True),
        ((0.9, 100), (0.86, 100), False),
        ((0.9, 100), (0.86, 120), True),
        ((0.86, 100), (0.9, 120), True),
        ((0.9, 100), (0.9, 104), False),
    ],
)
def test_a_clear_lead_is_more_than_five_per_cent(a, b, ahead):
    assert is_ahead(Standing(*a), Standing(*b)) is ahead


def test_a_pair_has_turned_when_a_clear_lead_became_its_opposite():
    base = {"a": Standing(0.9, 10), "b": Standing(0.5, 20)}
    level = {"a": Standing(0.5, 20), "b": Standing(0.5, 20)}
    other = {"a": Standing(0.5, 20), "b": Standing(0.9, 10)}
    assert turned(base, level) == []
    assert turned(base, other) == [("a", "b")]


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        ({"a": (0.9, 10), "b": (0.6, 10), "c": (0.3, 10)}, "held"),
        ({"a": (0.9, 10), "b": (0.3, 10), "c": (0.6, 10)}, "winner held"),
        ({"a": (0.6, 10), "b": (0.9, 10), "c": (0.3, 10)}, "turned"),
    ],
)
def test_verdicts(other, verdict):
    base = at("base", a=(0.9, 10), b=(0.6, 10), c=(0.3, 10))
    (row,) = held(matrix(base, at("slower", **other)), "variation")
    assert row.verdict == verdict
    assert row.base.variation == "base"


def test_a_place_without_its_base_is_left_out():
    base, elsewhere = at("base", a=(1, 1)), place("ilr-4", variation="slower")
    other = point("a", elsewhere, goodput_3=1, latency_mean_s=1)
    assert held(matrix(base, other), "variation") == []
