"""Each verdict follows its rule."""

from __future__ import annotations

import pytest

from marsbench.reproduce import claims
from marsbench.reproduce.claims import CLAIMS
from marsbench.reproduce.tables import reasons
from reproduce.builders import matrix, place, point, race


@pytest.mark.parametrize(
    ("mars", "verdict"),
    [(100 / 5.94, "reached"), (100 / 5.0, "partly"), (100 / 1.05, "not reached")],
)
def test_headline(mars, verdict):
    assert claims.headline(matrix(race(fcfs=200, infercept=100, mars=mars))).verdict == verdict


def test_the_headline_is_against_the_strongest_of_the_papers_baselines():
    ours = claims.headline(matrix(race(fcfs=200, infercept=100, fcfs_cap=10, oracle=5, mars=50)))
    assert ours.ours.startswith("up to 2.00×")
    assert "against infercept" in ours.ours


def test_the_other_model_has_a_row_of_its_own():
    there = place(model="gpt-oss-120b")
    both = matrix(race(fcfs=100, mars=50), race(there, fcfs=100, mars=10))
    assert claims.headline(both).ours.startswith("up to 2.00×")
    assert claims.second_model(both).verdict == "reached"
    assert claims.second_model(matrix(race(fcfs=100, mars=50))).verdict == "not measured"


def test_points_where_fcfs_serves_everybody_are_not_contended():
    calm = point("fcfs", goodput_3=0.95, latency_mean_s=1)
    assert claims.contended(matrix(calm)) == []


def test_every_point_counts_in_a_published_range():
    strong = race(fcfs=600, mars=100)
    assert claims.every_point(matrix(strong)).verdict == "reached"
    weak = race(place(load=0.5), fcfs=110, mars=100)
    assert claims.every_point(matrix(strong, weak)).verdict == "partly"


def course(backend, *goodputs, output=100.0, computed=100.0):
    """A backend from light load to heavy; its throughput at the last load is as given."""
    loads = [0.1 * n for n in range(1, len(goodputs) + 1)]
    last = len(goodputs) - 1
    return [
        point(
            backend,
            place(load=load),
            goodput_3=goodput,
            output_tokens_per_s=output if n == last else 100.0,
            computed_tokens_per_s=computed if n == last else 100.0,
        )
        for n, (load, goodput) in enumerate(zip(loads, goodputs, strict=True))
    ]


@pytest.mark.parametrize(
    ("fcfs", "mars", "verdict"),
    [(0.2, 0.8, "reached"), (0.2, 0.5, "partly"), (0.6, 0.8, "not reached")],
)
def test_collapse(fcfs, mars, verdict):
    both = matrix(course("fcfs", 1.0, 0.9, fcfs), course("mars", 1.0, 1.0, mars))
    assert claims.collapse(both).verdict == verdict


@pytest.mark.parametrize(
    ("output", "computed", "verdict"),
    [(95, 95, "reached"), (50, 95, "partly"), (50, 50, "not reached")],
)
def test_throughput_of_those_that_collapse(output, computed, verdict):
    fallen = matrix(course("fcfs", 1.0, 0.2, output=output, computed=computed))
    assert claims.constant_throughput(fallen).verdict == verdict


def evicting(backend, *quarters):
    figures = {f"evicted_live_quarter_{n}_per_s": rate for n, rate in enumerate(quarters, 1)}
    return point(backend, goodput_3=0.5, latency_mean_s=1.0, **figures)


@pytest.mark.parametrize(
    ("quarters", "verdict"),
    [((50, 0, 0.5, 0), "reached"), ((0, 0, 9, 0), "partly"), ((0, 50, 90, 20), "not reached")],
)
def test_eviction_burst(quarters, verdict):
    both = matrix(evicting("fcfs", 100, 100, 100, 100), evicting("mars", *quarters))
    assert claims.eviction_burst(both).verdict == verdict


def test_an_ablation_is_judged_by_its_largest_effect():
    judge = claims.ablation("mars-no-admission", 1.5, 3.0)
    there = race(fcfs=300, mars=100, mars_no_admission=160)
    assert judge(matrix(there)).verdict == "reached"
    assert judge(matrix(race(fcfs=300, mars=100, mars_no_admission=120))).verdict == "partly"
    assert judge(matrix(race(fcfs=300, mars=100))).verdict == "not measured"


def test_the_inversion_is_looked_for_at_the_lightest_point():
    def light(ablated, load):
        names = {"fcfs": 1.0, "mars": 1.0, "mars-no-opportunistic": ablated}
        return [
            point(name, place(load=load), goodput_3=1.0, latency_mean_s=value)
            for name, value in names.items()
        ]

    assert claims.inversion(matrix(light(0.99, 0.3), light(1.5, 0.9))).verdict == "reached"
    assert claims.inversion(matrix(light(1.01, 0.3), light(0.9, 0.9))).verdict == "partly"
    assert claims.inversion(matrix(light(1.0, 0.3))).verdict == "not reached"
    assert claims.inversion(matrix(race(fcfs=3, mars=2))).verdict == "not measured"


def test_a_cap_that_is_as_good_is_said_so():
    assert claims.control(matrix(race(fcfs=9, mars=1, fcfs_cap=1))).verdict == "not reached"
    assert claims.control(matrix(race(fcfs=9, mars=1, fcfs_cap=2))).verdict == "reached"


def test_nothing_measured_is_no_verdict():
    empty = matrix(point("fcfs"))
    assert {claim.judge(empty).verdict for claim in CLAIMS} == {"not measured"}


def test_every_reason_is_of_a_claim():
    assert reasons().keys() <= {claim.id for claim in CLAIMS}
