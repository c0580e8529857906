"""Who is best in a cell, whatever else is near it."""

from __future__ import annotations

from marsbench.judge.compare.figures import GOODPUT, LATENCY
from marsbench.judge.compare.points import Matrix, MatrixPoint
from reproduce.builders import HERE
from studies.map.standing import leading, mean_regret, standing
from studies.map.worlds import World

WORLD = World("recorded", 39.1, 1.0, 717_952, 24, 0.0, "ilr-1", 0.17)


def point(backend, *seeds):
    """(goodput, latency) of seeds 1, 2, …"""
    runs = tuple({GOODPUT: good, LATENCY: latency} for good, latency in seeds)
    return MatrixPoint(HERE, backend, tuple(range(1, len(seeds) + 1)), runs)


def stands(*points, among=("fcfs", "mars", "infercept", "fcfs-cap")):
    found = standing(Matrix(points), HERE, WORLD, set(among))
    assert found is not None
    return found


def test_the_lowest_latency_of_those_near_the_highest_goodput_is_best():
    found = stands(
        point("fcfs", (0.5, 50.0)), point("mars", (0.96, 100.0)), point("infercept", (1.0, 104.0))
    )
    assert (found.best, found.level, found.sure) == ("mars", ("infercept",), "one seed")
    assert found.regrets["fcfs"].times == 0.5
    assert round(found.regrets["fcfs"].points, 9) == 0.46


def test_those_with_all_seeds_are_judged_and_the_others_by_the_seeds_they_have():
    found = stands(
        point("fcfs", (1.0, 90.0)),
        point("mars", (1.0, 100.0), (1.0, 100.0)),
        point("infercept", (1.0, 120.0), (1.0, 90.0)),
    )
    assert (found.best, found.seeds, found.agreeing) == ("mars", 2, 1)
    assert found.sure == "1 of 2 seeds"
    own = found.regrets["infercept"]
    assert (own.times, own.low, own.high) == (1.05, 0.9, 1.2)
    assert found.regrets["fcfs"].seeds == 1


def test_the_best_of_the_caps_stands_for_them_and_who_knows_the_future_for_nothing():
    found = stands(
        point("fcfs-cap-4", (0.8, 100.0)),
        point("fcfs-cap-8", (0.9, 110.0)),
        point("mars", (0.7, 90.0)),
        point("oracle", (1.0, 10.0)),
    )
    assert (found.best, found.cap) == ("fcfs-cap", "fcfs-cap-8")
    assert set(found.points) == {"mars", "oracle", "fcfs-cap"}
    assert found.contenders == ("mars", "fcfs-cap")


def test_nobody_is_best_where_nobody_was_played():
    assert standing(Matrix([point("oracle", (1.0, 1.0))]), HERE, WORLD, {"mars"}) is None


def test_what_it_costs_to_take_one_for_all():
    one = stands(point("fcfs", (1.0, 100.0)), point("mars", (1.0, 200.0)))
    other = stands(point("fcfs", (1.0, 100.0)), point("mars", (1.0, 50.0)))
    assert mean_regret([one, other], "mars") == (1.5, 2.0)
    assert mean_regret([one, other], "infercept") is None


def test_equals_are_named_by_their_names():
    class Score(tuple):
        goodput, latency_s = 1.0, 5.0

    assert leading({"b": Score(), "a": Score()}) == ["a", "b"]
