"""Coverage, simulated in little: the interval holds what it says, and what was there did not."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from marsbench.judge.intervals import FEWEST_SEEDS, held, typical
from marsbench.judge.intervals.dice import dice
from studies.coverage import document as written
from studies.coverage.families import FAMILIES, equal
from studies.coverage.measure import (
    error,
    found,
    middles,
    of_curves,
    of_equals,
    others,
    ours,
    row,
)
from studies.coverage.others import OTHERS, weights

DRAWS = 4000
SURE = 4
"""Standard errors: a fixed seed is within them, or something is wrong."""
BY_NAME = {family.name: family for family in FAMILIES}
NORMAL, LOGNORMAL = FAMILIES[0], BY_NAME["lognormal, CV 1, one side 0.6 of the other"]
TIPS = BY_NAME["one seed in five tips over"]
NEAR_ALL = BY_NAME["goodput, 97.5 % and 99 %"]


def method(name):
    (one,) = [other for other in OTHERS if other.name == name]
    return one


@pytest.mark.parametrize("family", [f for f in FAMILIES if not f.ties], ids=lambda f: f.name)
def test_the_interval_holds_what_it_says_whatever_the_distribution(family):
    for one in ours(family, (9, 20), DRAWS):
        level = held(one.seeds)
        assert 0.95 <= level < 0.962
        assert abs(one.held - level) < SURE * error(level, DRAWS)
        for missed in (one.above, one.below):
            assert abs(missed - (1 - level) / 2) < SURE * error((1 - level) / 2, DRAWS)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.ties], ids=lambda f: f.name)
def test_with_repeated_values_it_never_holds_less(family):
    for one in ours(family, (6, 9), DRAWS):
        assert one.held > held(one.seeds) - SURE * error(held(one.seeds), DRAWS)


def test_an_interval_on_a_curve_holds_too():
    for one in of_curves((9,), 500):
        assert one.held > 0.95 - SURE * error(0.95, 500)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_few_seeds_have_no_interval_rather_than_one_that_lies(number):
    assert all(one.held is None for one in ours(NORMAL, (number,), 10))


def test_what_was_tried_holds_less():
    (t,) = others(NORMAL, [method("Student's t, difference of means")], (5,), DRAWS)
    assert abs(t.held - 0.95) < SURE * error(0.95, DRAWS)
    names = ("percentile bootstrap, difference of means", "BCa bootstrap, difference of means",
             "Student's t, difference of means", "Student's t, ratio of means")  # fmt: skip
    for one in others(TIPS, [method(name) for name in names], (6, 10), 1000):
        assert one.held < 0.9
    (percentile,) = others(LOGNORMAL, [method(names[0])], (10,), 1000)
    assert percentile.held < 0.9


def test_logarithms_mend_skewness_alone():
    logs = method("Student's t, mean of log ratios")
    (skewed,) = others(LOGNORMAL, [logs], (5,), DRAWS)
    assert abs(skewed.held - 0.95) < SURE * error(0.95, DRAWS)
    (tips,) = others(TIPS, [logs], (5,), 1000)
    assert tips.held < 0.75


def test_equal_sides_are_told_apart_as_seldom_as_said():
    for family in (NORMAL, TIPS, NEAR_ALL):
        (few, six, many) = of_equals(family, (5, 6, 20), 1000)
        assert few.now == few.before == 0
        for one in (six, many):
            assert one.now < 0.05 + SURE * error(0.05, 1000)
        assert six.before > 0.1 or family is NEAR_ALL


def test_a_coin_leaves_no_side_better():
    base, other = equal(LOGNORMAL.draw)(dice("coin"), (20_000, 1))
    assert ((other < base).mean(), (other > base).mean()) == pytest.approx((0.5, 0.5), abs=0.02)


def test_more_is_found_with_more_seeds_and_less_scatter():
    assert found(0.9, 0.1, 20, 500) > found(0.9, 0.1, 9, 500) > found(0.9, 0.3, 9, 500)
    assert found(0.9, 0.1, 5, 50) == 0


@pytest.mark.parametrize("number", [1, 5, 6, 8, 9, 17])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_all_rows_at_once_are_what_is_shown_one_by_one(number, confidence):
    values = dice("rows", number).normal(size=(50, number))
    found = middles(values, confidence)
    singly = [typical(one, confidence)[1:] for one in values.tolist()]
    if found is None:
        assert set(singly) == {(None, None)}
    else:
        assert list(zip(*(bound.tolist() for bound in found), strict=True)) == singly


def test_a_row_counts_misses_on_each_side():
    bounds = (np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.5, 2.0, 3.0, 4.0]))
    one = row(("a", "figure", "m", 6), 4, 2.0, bounds)
    assert (one.held, one.above, one.below) == (0.5, 0.25, 0.25)


def test_a_bootstrap_of_two_is_both_or_one_of_them_twice():
    shares = weights(2, 4000)
    assert (shares[:, 0] == 0.5).mean() == pytest.approx(0.5, abs=0.03)
    assert (shares[:, 0] == 1).mean() == pytest.approx(0.25, abs=0.03)


def test_the_document_has_a_table_for_each_question(monkeypatch):
    monkeypatch.setattr(written, "FAMILIES", (NORMAL, NEAR_ALL))
    monkeypatch.setattr(written, "SEEDS", (5, 6, 9))
    monkeypatch.setattr(written, "FOUND", ((0.9, 0.1),))
    heard = []
    text, table = written.document(heard.append)
    assert text.count("\n## ") == 6
    assert f"| {FEWEST_SEEDS} | 0 | 96.9% |" in text
    assert "{" not in text
    rows = list(csv.DictReader(io.StringIO(table)))
    assert {one["family"] for one in rows} >= {NORMAL.name, NEAR_ALL.name}
    five = [one for one in rows if one["seeds"] == "5" and one["method"] == "typical seed"]
    assert {one["held"] for one in five} == {""}
    assert heard[0] == NORMAL.name
