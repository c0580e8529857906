"""Each verdict follows its rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marsbench.judge.compare.figures import (
    CAP,
    CAP_SEARCHED,
    GOODPUT,
    QUARTERS,
    Figure,
    num_asked,
    num_differed,
    num_held_back,
)
from marsbench.judge.compare.kinds import KINDS
from marsbench.judge.paper.claims import CLAIMS
from marsbench.judge.paper.part_tables import ablations, decided
from marsbench.judge.paper.parts import PARTS, without
from marsbench.judge.paper.systems import BASELINES, BOUND, CONTROL, MARS, WHOLES
from marsbench.judge.paper.tables import reasons, reported
from marsbench.judge.paper.view import contended
from marsbench.text.decisions import DECIDED, REASONS
from reproduce.builders import at_work, matrix, place, point, race

BY_ID = {claim.id: claim for claim in CLAIMS}


def judged(id_, *parts):
    return BY_ID[id_].found(matrix(*parts))


# --- like is compared with like


SYSTEMS = (*BASELINES, CONTROL, MARS, BOUND, *map(without, PARTS))
ALL = (GOODPUT, *(Figure(name) for name, kind in KINDS.items() if not kind.at_alpha))
COUNTS = (CAP, CAP_SEARCHED, *map(num_differed, DECIDED), *map(num_asked, DECIDED),
          *map(num_held_back, REASONS))  # fmt: skip
FACTS = {GOODPUT, *COUNTS}


def everything(turned=()):
    """Every system with every figure, at two loads of two models; those of `turned` are others."""
    return matrix(
        *(
            point(name, place(load=load, model=model), **named(figures_of(number, load, turned)))
            for number, name in enumerate(SYSTEMS)
            for load in (0.3, 0.9)
            for model in ("qwen3-coder-30b", "gpt-oss-120b")
        )
    )


def named(figures):
    return {str(figure): value for figure, value in figures.items()}


def figures_of(number, load, turned):
    """What decides which places and curves are looked at is the same in all."""
    other = 10 * number**2 * (1 - load)
    found = {
        figure: 2.0 + (7 * number + 11 * rank) % 13 - 0.5 * load + (figure in turned) * other
        for rank, figure in enumerate(ALL)
    }
    falls = load == 0.9 and SYSTEMS[number] in BASELINES
    own = {CAP_SEARCHED: 1.0, GOODPUT: 0.2 if falls else 0.9 + 0.01 * number}
    if GOODPUT in turned and not falls:
        own[GOODPUT] -= 0.02 * number * load
    return {**found, **dict.fromkeys(COUNTS, 5.0), **own}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_verdict_depends_on_its_own_figure_alone(claim):
    """Whatever the others are, to whomever they belong. Goodput selects places and curves."""
    others = {*ALL} - {*claim.figures} - FACTS
    assert claim.found(everything(others)) == claim.found(everything())


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_verdict_depends_on_its_figure(claim):
    turned = claim.found(everything(claim.figures))
    assert (turned == claim.found(everything())) == (claim.id == "openhands")


def test_a_claim_is_about_one_figure():
    """Several are one figure by quarter of the run."""
    for claim in CLAIMS:
        assert len(claim.figures) == 1 or claim.figures == QUARTERS, claim.id


@pytest.mark.parametrize("since", ["ready", "submit"])
@pytest.mark.parametrize("which", ["first", "continuation"])
def test_first_tokens_are_judged_by_one_figure_on_both_sides(since, which):
    figure = f"ttft_{since}_{which}_p99_s"

    def there(**seconds):
        points = [
            point(name, **{figure: value, "goodput_3": 0.5}) for name, value in seconds.items()
        ]
        return judged(f"ttft-{since}-{which}", *points)

    assert there(fcfs=1200, mars=300).verdict == "reached"
    assert there(fcfs=1200, mars=1199).verdict == "partly"
    assert there(fcfs=900, mars=300).verdict == "partly"
    assert there(fcfs=900, mars=899).verdict == "not reached"
    assert "baselines up to 1,200 s (fcfs" in there(fcfs=1200, mars=300).ours
    assert "MARS up to 300 s" in there(fcfs=1200, mars=300).ours


# --- each rule


@pytest.mark.parametrize(
    ("mars", "verdict"),
    [(100 / 5.94, "reached"), (100 / 5.0, "partly"), (100 / 1.05, "not reached")],
)
def test_headline(mars, verdict):
    assert judged("headline", race(fcfs=200, infercept=100, mars=mars)).verdict == verdict


def test_the_headline_is_against_the_strongest_of_the_papers_baselines():
    ours = judged("headline", race(fcfs=200, infercept=100, fcfs_cap=10, oracle=5, mars=50))
    assert ours.ours.startswith("up to 2.00×")
    assert "against infercept" in ours.ours


def test_the_other_model_has_a_row_of_its_own():
    there = place(model="gpt-oss-120b")
    both = (race(fcfs=100, mars=50), race(there, fcfs=100, mars=10))
    assert judged("headline", *both).ours.startswith("up to 2.00×")
    assert judged("gpt-oss", *both).verdict == "reached"
    assert judged("gpt-oss", race(fcfs=100, mars=50)).verdict == "not measured"


def test_runs_of_another_model_do_not_judge_the_papers_numbers():
    other = place(model="qwen3-8b")
    runs = matrix(race(other, fcfs=700.0, infercept=594.0, mars=100.0))
    told = {claim.id: claim.found(runs).verdict for claim in CLAIMS}
    for name in ("headline", "points", "tails-p90", "tails-p95", "gpt-oss"):
        assert told[name] == "not measured"


def test_points_where_fcfs_serves_everybody_are_not_contended():
    calm = point("fcfs", goodput_3=0.95, latency_mean_s=1)
    assert contended(matrix(calm)) == []


def test_every_point_counts_in_a_published_range():
    strong = race(fcfs=600, mars=100)
    assert judged("points", strong).verdict == "reached"
    weak = race(place(load=0.5), fcfs=110, mars=100)
    assert judged("points", strong, weak).verdict == "partly"


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
    both = (course("fcfs", 1.0, 0.9, fcfs), course("mars", 1.0, 1.0, mars))
    assert judged("collapse", *both).verdict == verdict


@pytest.mark.parametrize("id_", ["output", "computed"])
@pytest.mark.parametrize(
    ("fcfs", "infercept", "verdict"),
    [(95, 95, "reached"), (50, 95, "partly"), (50, 50, "not reached")],
)
def test_throughput_of_those_that_collapse(id_, fcfs, infercept, verdict):
    fallen = [course(name, 1.0, 0.2, **{id_: left})
              for name, left in (("fcfs", fcfs), ("infercept", infercept))]  # fmt: skip
    whole = course("autellix", 1.0, 0.9, **{id_: 10})
    assert judged(id_, *fallen, whole).verdict == verdict


def evicting(backend, *quarters):
    figures = {f"evicted_live_quarter_{n}_per_s": rate for n, rate in enumerate(quarters, 1)}
    return point(backend, goodput_3=0.5, latency_mean_s=1.0, **figures)


@pytest.mark.parametrize(
    ("quarters", "verdict"),
    [((50, 0, 0.5, 0), "reached"), ((0, 0, 9, 0), "partly"), ((0, 50, 90, 20), "not reached")],
)
def test_eviction_burst(quarters, verdict):
    both = (evicting("fcfs", 100, 100, 100, 100), evicting("mars", *quarters))
    assert judged("burst", *both).verdict == verdict


def test_the_baselines_burst_is_no_measure_of_mars_later_quarters():
    """Both sides of the verdict are the quarters after the first."""
    both = (evicting("fcfs", 1000, 5, 5, 5), evicting("mars", 500, 0.9, 0.9, 0.9))
    assert judged("burst", *both).verdict == "not reached"


def test_evictions_are_judged_by_the_mean_and_by_the_worst_second_apart():
    there = point("fcfs", goodput_3=0.5, evicted_per_s=5.0, evicted_peak_per_s=2000.0)
    assert judged("evictions", there).verdict == "not reached"
    assert judged("evictions-peak", there).verdict == "reached"


# --- parts


def test_an_ablation_is_judged_by_its_largest_effect():
    there = at_work(race(fcfs=300, mars=100, mars_no_admission=160))
    assert judged("admission", there).verdict == "reached"
    there = at_work(race(fcfs=300, mars=100, mars_no_admission=120))
    assert judged("admission", there).verdict == "partly"
    assert judged("admission", race(fcfs=300, mars=100)).verdict == "not measured"


def test_a_part_that_decided_nothing_has_no_verdict_and_no_ratio():
    there = at_work(race(fcfs=300, mars=100, mars_no_coordinator=100), 0)
    found = judged("coordinator", there)
    assert found.verdict == "not exercised"
    assert found.ours == (
        "in a run of the whole, 0 of 40 fronts of the queue, 0 of 40 orders of the batch, "
        "0 of 40 victims, 0 of 40 holds given up"
    )
    assert "| not exercised |" in ablations(matrix(there))
    assert "×" not in ablations(matrix(there))


def test_a_ratio_is_taken_where_the_part_ran_and_stands_beside_how_often():
    idle = at_work(race(fcfs=300, mars=100, mars_no_coordinator=100), 0)
    busy = at_work(race(place(load=1.2), fcfs=300, mars=100, mars_no_coordinator=130), 3)
    found = judged("coordinator", idle, busy)
    assert found.verdict == "partly"
    assert found.ours.startswith("1.30–1.30× at 1 of 2 contended points (most: ilr-1 at load 1.2)")
    assert "in a run of the whole, 0–3 of 40 fronts of the queue" in found.ours
    assert "| ilr-1 at load 1.2 | 1.300× |" in ablations(matrix(idle, busy))
    assert "| ilr-1 at load 1.2 | 3 of 40 |" in decided(matrix(idle, busy))


def test_a_part_that_made_a_difference_was_exercised_whatever_was_counted():
    there = at_work(race(fcfs=300, mars=100, mars_no_coordinator=130), 0)
    assert judged("coordinator", there).verdict == "partly"


def test_where_nobody_counted_that_is_said():
    found = judged("coordinator", race(fcfs=300, mars=100, mars_no_coordinator=200))
    assert found.verdict == "reached"
    assert found.ours.endswith("how often the part ran was not counted")


def test_the_opportunistic_part_is_shrinking_and_pinning():
    shrinks, pins = (PARTS[half] for half in ("shrinking", "retention"))
    assert {*PARTS["opportunistic"]} == {*shrinks, *pins}


def test_the_inversion_is_looked_for_at_the_lightest_point():
    def light(ablated, load, times=3):
        names = {"fcfs": 1.0, "mars": 1.0, "mars-no-opportunistic": ablated}
        return at_work(
            [
                point(name, place(load=load), goodput_3=1.0, latency_mean_s=value)
                for name, value in names.items()
            ],
            times,
        )

    assert judged("inversion", light(0.99, 0.3), light(1.5, 0.9)).verdict == "reached"
    assert judged("inversion", light(1.01, 0.3), light(0.9, 0.9)).verdict == "partly"
    assert judged("inversion", light(1.0, 0.3)).verdict == "not reached"
    assert judged("inversion", race(fcfs=3, mars=2)).verdict == "not measured"
    idle = judged("inversion", light(1.0, 0.3, times=0), light(0.9, 0.9))
    assert idle.verdict == "not exercised"
    assert "0 of 40 chunks shrunk, 0 of 40 holds under pressure" in idle.ours


# --- MARS twice: with our reservation, and as published


def both_rows():
    """MARS reaches it with our reservation, and not as published; its coordinator ran there."""
    there = race(
        fcfs=594, infercept=594, mars=100, mars_published=590,
        mars_no_coordinator=100, mars_published_no_coordinator=1300,
    )  # fmt: skip
    for one in there:
        ran = 9.0 if one.backend == "mars-published" else 0.0
        counts = {f(name): ran for name in DECIDED for f in (num_differed, num_asked)}
        one.runs[0].update(counts if one.backend in WHOLES else {})
    return there


def test_each_row_of_mars_is_judged_by_its_own_runs():
    there = matrix(both_rows())
    headline, coordinator = BY_ID["headline"], BY_ID["coordinator"]
    assert [headline.found(there, mars).verdict for mars in WHOLES] == ["reached", "not reached"]
    assert [coordinator.found(there, mars).verdict for mars in WHOLES] == [
        "not exercised", "reached",
    ]  # fmt: skip


def test_the_table_says_which_row_reached_it():
    found = reported(matrix(both_rows()))
    assert (
        "| here, mars | verdict on mars | here, mars-published | verdict on mars-published |"
        in found
    )
    (headline,) = [line for line in found.splitlines() if "| up to 5.94× |" in line]
    assert "| **reached** | up to 1.01×" in headline
    assert "| **not reached** |" in headline
    (evictions,) = [line for line in found.splitlines() if "| from ~10 blocks/s |" in line]
    assert "| the same | the same |" in evictions


def test_each_row_has_ablations_of_its_own():
    there = matrix(both_rows())
    assert "| ilr-1 at load 0.9 | not exercised | 5.900× |" in ablations(there)
    assert "| ilr-1 at load 0.9 | 2.203× | 0.169× |" in ablations(there, "mars-published")
    assert "| ilr-1 at load 0.9 | 9 of 9 |" in decided(there, "mars-published")


# --- the control


def capped(fcfs_cap, caps, searched):
    """The control at one place under these caps, a seed each."""
    *others, control = race(fcfs=9, mars=1, fcfs_cap=fcfs_cap)
    runs = tuple({**control.runs[0], CAP: float(cap), CAP_SEARCHED: searched} for cap in caps)
    return [*others, replace(control, seeds=tuple(range(len(caps))), runs=runs)]


def test_a_cap_that_is_as_good_is_said_so():
    caps = (3, 4, 5)
    assert judged("control", capped(1, caps, 1.0)).verdict == "not reached"
    best = judged("control", capped(2, caps, 1.0))
    assert best.verdict == "reached"
    assert "(cap searched for each run, 3 to 5)" in best.ours


def test_a_cap_that_somebody_gave_is_no_control():
    found = judged("control", capped(2, (2,), 0.0))
    assert found.verdict == "not measured"
    assert "(cap fixed at 2, not searched: no best control)" in found.ours
    assert "leave `cap` out of the sweep" in found.why


def test_nothing_measured_is_no_verdict():
    empty = matrix(point("fcfs"))
    assert {claim.found(empty).verdict for claim in CLAIMS} == {"not measured"}


def test_every_reason_is_of_a_claim():
    assert reasons().keys() <= {claim.id for claim in CLAIMS}


def test_the_same_as_a_cap_is_not_faster():
    same, slower = (judged("control", race(fcfs=9, mars=1, fcfs_cap=n)).ours for n in (1, 2))
    assert "lower mean at 0 of 1 contended points and the same at 1: " in same
    assert "lower mean at 1 of 1 contended points: " in slower


def test_all_that_are_equally_strong_are_named():
    found = judged("headline", race(fcfs=9, infercept=8, continuum=8, mars=1))
    assert "against infercept = continuum" in found.ours


def test_a_gain_that_reads_as_none_is_none():
    times = {"fcfs": 10.0, "mars": 10.0, "mars-no-opportunistic": 9.9999999}
    calm = [point(name, latency_mean_s=s, goodput_3=1.0) for name, s in times.items()]
    assert judged("inversion", calm).verdict == "not reached"
