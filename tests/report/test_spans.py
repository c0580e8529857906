"""What stands in brackets and what a bar is: an interval, or nothing to be taken for one."""

from __future__ import annotations

import pytest

from compare.builders import seeds, write_sweep
from marsbench.report import paper
from marsbench.report.material import Material
from marsbench.report.spans import bar_words, bracket_words

SLOW, FAST = {"a": 40.0, "b": 80.0}, {"a": 10.0, "b": 20.0}


@pytest.fixture(scope="module", params=[3, 6])
def material(request, tmp_path_factory):
    number = request.param
    runs = {"fcfs": seeds(*[SLOW] * number), "infercept": seeds(*[SLOW] * number),
            "mars": seeds(*[FAST] * number)}  # fmt: skip
    path = tmp_path_factory.mktemp("report") / f"{number}"
    return number, Material.read([write_sweep(path, runs)])


def test_brackets_are_an_interval_from_six_seeds_on(material):
    number, own = material
    (row,) = paper.overview(own).rows
    assert row[4].replace("\N{NO-BREAK SPACE}", " ") == (
        "4.00×" if number == 3 else "4.00× [4.00, 4.00]"
    )
    assert ("give no interval" in bracket_words(own.comparison)) == (number == 3)
    assert "95% interval" in bracket_words(own.comparison) or number == 3


def test_a_bar_of_few_seeds_is_said_to_be_their_range(material):
    number, own = material
    words = bar_words(own.comparison)
    assert words.startswith("lowest and highest seed" if number == 3 else "95% interval")


def test_baselines_that_are_equal_are_named_together(material):
    _, own = material
    (row,) = paper.overview(own).rows
    assert row[1] == "fcfs = infercept"
