"""What berth reaches beside the best of all others, from numbers by hand."""

from __future__ import annotations

from map.test_standing import point, stands
from studies.map.ours import against, targets, worths

AMONG = ("berth", "fcfs", "mars", "infercept", "fcfs-cap")


def told(*cells):
    return "\n".join(targets(against(cells, [])))


def test_each_figure_is_held_against_whoever_has_the_best():
    (found,) = against(
        [
            stands(
                point("berth", (0.90, 100.0), (0.80, 100.0)),
                point("mars", (0.80, 110.0), (0.88, 130.0)),
                point("infercept", (0.50, 90.0)),
                among=AMONG,
            )
        ],
        [],
    )
    assert (found.points.other, round(found.points.by, 6)) == ("mars", 0.01)
    assert not found.points.always, "one seed is the other's"
    assert (found.latency.other, found.latency.by) == ("infercept", 0.9)  # of the seed of both


def test_who_leads_at_one_seed_is_not_ahead():
    once = [point("berth", (0.9, 100.0)), point("mars", (0.85, 109.0))]
    assert not against([stands(*once, among=AMONG)], [])[0].ahead
    far = [point("berth", (0.9, 100.0)), point("mars", (0.5, 100.0))]
    assert against([stands(*far, among=AMONG)], [])[0].ahead
    twice = [point("berth", (0.9, 100.0), (0.9, 9.0)), point("mars", (0.5, 150.0), (0.6, 8.0))]
    assert against([stands(*twice, among=AMONG)], [])[0].ahead


def test_level_in_goodput_and_quicker_at_every_seed_is_ahead():
    cells = [point("berth", (0.9, 10.0), (0.9, 9.0)), point("mars", (0.91, 15.0), (0.9, 10.0))]
    assert against([stands(*cells, among=AMONG)], [])[0].ahead


def test_targets_are_counted_and_the_worst_cell_is_named():
    good = stands(
        point("berth", (1.0, 100.0)), point("fcfs", (0.5, 200.0)), point("mars", (1.0, 121.0)),
        among=AMONG,
    )  # fmt: skip
    bad = stands(
        point("berth", (0.7, 110.0)), point("fcfs", (0.7, 100.0)), point("mars", (0.8, 120.0)),
        among=AMONG,
    )  # fmt: skip
    text = told(good, bad)
    assert "highest other: 1 of 2 cells; furthest behind -10.0 points" in text
    assert "least other: 1 of 2 cells; furthest behind 1.10×" in text
    assert "1 of 1 contended cells" in text, "fcfs is level in the other"
    assert "`mars` ÷ its own with recorded pauses: 1.21× over 1 contended cells" in text


def test_without_it_there_is_nothing_to_say():
    cell = stands(point("fcfs", (1.0, 1.0)), point("mars", (1.0, 1.0)))
    assert told(cell) == "`berth` was not played."
    assert worths([cell]).rows == []


def test_a_part_is_worth_what_is_lost_without_it():
    cell = stands(
        point("berth", (0.9, 100.0)), point("berth-no-cpu", (0.8, 150.0)), among=AMONG
    )  # fmt: skip
    assert worths([cell]).rows == [(cell.world.title, None, "1.500× (-10)", None, None)]
