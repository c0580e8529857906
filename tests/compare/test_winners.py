"""Who wins by which measure, and whether that turns."""

from __future__ import annotations

from marsbench.judge.compare.figures import Figure
from marsbench.judge.compare.winners import (
    MEASURES,
    WORST,
    results_at,
    turning_places,
    where_it_turns,
    winners,
    winners_table,
)
from reproduce.builders import HERE, matrix, place, point

LOW, HIGH = Figure("goodput", 1.5), Figure("goodput", 5.0)


def results(**by_backend):
    return {
        name: dict(zip((LOW, HIGH, WORST), values, strict=True))
        for name, values in by_backend.items()
    }


def test_the_highest_share_wins_and_the_lowest_slowdown():
    found = winners(results(a=(0.9, 0.5, 9.0), b=(0.2, 1.0, 3.0)), (LOW, HIGH, WORST))
    assert {figure: one.names for figure, one in found.items()} == {
        LOW: ("a",), HIGH: ("b",), WORST: ("b",),
    }  # fmt: skip
    assert found[WORST].value == 3.0


def test_equals_win_together_and_who_is_close_is_level():
    found = winners(results(a=(0.9, 0, 3), b=(0.1 + 0.8, 0, 3), c=(0.85, 0, 3.2)), (LOW, WORST))
    assert found[LOW].names == ("a", "b")
    assert found[LOW].level == ("c",)
    assert found[WORST].level == ()
    assert found[LOW].told == "a = b 90% (level: c)"


def test_what_nobody_has_measured_has_no_winner_and_who_has_no_value_does_not_win():
    assert winners(results(a=(None, 0.3, 2), b=(None, None, 2)), (LOW, HIGH)).keys() == {HIGH}
    assert winners({}, MEASURES) == {}
    assert where_it_turns({}) == "Nothing was measured."


def test_it_is_said_where_the_winner_turns():
    measures = (LOW, HIGH, WORST)
    same = winners(results(a=(0.9, 0.9, 2), b=(0.9, 0.8, 3)), measures)
    assert where_it_turns(same) == "a by every measure."
    turned = winners(results(a=(0.9, 0.5, 9), b=(0.2, 1.0, 3)), measures)
    assert where_it_turns(turned) == (
        "It depends: a at α = 1.5; b at α = 5 and worst slowdown; nobody is best or level by all."
    )
    close = winners(results(a=(0.9, 0.97, 3), b=(0.2, 1.0, 3)), measures)
    assert where_it_turns(close).endswith("best or level by all: a.")


def test_places_at_which_it_turns_are_counted_of_those_that_may_win():
    other = place(load=1.2)
    found = matrix(
        point("a", goodput_3=0.9, slowdown_max=2.0),
        point("b", goodput_3=0.5, slowdown_max=3.0),
        point("a", other, goodput_3=0.9, slowdown_max=4.0),
        point("b", other, goodput_3=0.5, slowdown_max=3.0),
        point("oracle", other, goodput_3=1.0, slowdown_max=1.0),
    )
    measures = (Figure("goodput", 3.0), WORST)
    assert turning_places(found, ("a", "b"), measures) == (
        "Who wins depends on the measure at 1 of 2 places: ilr-1 at load 1.2."
    )
    assert "oracle" not in str(winners_table(found, ("a", "b"), measures).rows)
    assert results_at(found, HERE, ("b",), measures)["b"][WORST] == 3.0
    assert "At each of 2 places one backend wins by every measure." in turning_places(
        found, ("a", "b", "oracle"), measures[:1]
    )
