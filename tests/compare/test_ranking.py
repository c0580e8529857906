"""Rankings, and whether they hold."""

from __future__ import annotations

import pytest

from marsbench.judge.compare.figures import LATENCY
from marsbench.judge.compare.ranking import Score, held, is_ahead, ranking, told, turned
from reproduce.builders import matrix, place, point


def at(variation, **standings):
    where = place(variation=variation)
    return [
        point(name, where, goodput_3=goodput, latency_mean_s=latency)
        for name, (goodput, latency) in standings.items()
    ]


def test_goodput_ranks_and_latency_breaks_ties():
    standing = {"a": Score(0.5, 10), "b": Score(0.9, 99), "c": Score(0.5, 9)}
    assert ranking(standing) == (("b",), ("c",), ("a",))


def test_equals_are_level_whatever_their_names_or_last_bits():
    standing = {"z": Score(0.3, 10), "a": Score(0.1 + 0.2, 10), "b": Score(0.3, 11)}
    assert 0.1 + 0.2 != 0.3
    assert told(ranking(standing)) == "a = z > b"


def test_the_best_are_all_that_are_equal():
    here = [point(name, latency_mean_s=s) for name, s in {"a": 5.0, "b": 4.0, "c": 4.0}.items()]
    found = matrix(here).best(place(), ("a", "b", "c"), LATENCY)
    assert (found.names, found.value, found.told) == (("b", "c"), 4.0, "b = c")
    assert matrix(here).best(place(), ("a", "d"), LATENCY).told == "a"
    assert matrix(here).best(place(), ("d",), LATENCY) is None


def test_one_of_two_equal_winners_that_falls_back_turns_the_ranking():
    base = at("base", a=(0.9, 10), b=(0.9, 10), c=(0.3, 10))
    other = at("slower", a=(0.9, 10), b=(0.3, 10), c=(0.9, 10))
    (row,) = held(matrix(base, other), "variation")
    assert (row.verdict, row.turned) == ("turned", [("b", "c")])


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
    assert is_ahead(Score(*a), Score(*b)) is ahead


def test_a_pair_has_turned_when_a_clear_lead_became_its_opposite():
    base = {"a": Score(0.9, 10), "b": Score(0.5, 20)}
    level = {"a": Score(0.5, 20), "b": Score(0.5, 20)}
    other = {"a": Score(0.5, 20), "b": Score(0.9, 10)}
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
