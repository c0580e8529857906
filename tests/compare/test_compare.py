"""From folders to one comparison, with numbers done by hand; and what is not compared."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from compare.builders import HARDWARE, seeds, write_run, write_sweep
from marsbench.errors import UsageError
from marsbench.judge.compare import Figure, compare, frame, traces
from marsbench.judge.compare.documents import record
from marsbench.judge.compare.figures import LATENCY
from marsbench.judge.compare.show import render
from marsbench.judge.gate import GateRules, gate, rule_of
from marsbench.judge.sweep.folder import write_json
from marsbench.replicas.registry import choose_router

FAST, SLOW = {"a": 10.0, "b": 20.0}, {"a": 20.0, "b": 40.0}
TWO = {"fcfs": seeds(SLOW, {"a": 40.0, "b": 60.0}), "mars": seeds(FAST, {"a": 10.0, "b": 30.0})}


def row(rows, backend, figure=None):
    own = [r for r in rows if r.backend == backend]
    (found,) = [r for r in own if figure is None or str(r.figure) == figure]
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("found")
    return compare([write_sweep(folder / "sweep", TWO)], alphas=(3.0, 1.0))


def test_a_figure_is_the_mean_over_seeds(found):
    latency = row(found.estimates, "fcfs", "latency_mean_s")
    assert (latency.mean, latency.lowest, latency.highest, latency.seeds) == (40.0, 30.0, 50.0, 2)
    assert latency.typical == (40.0, None, None)
    assert row(found.estimates, "fcfs", "goodput_3").mean == 0.25
    assert row(found.estimates, "mars", "goodput_1").mean == 0.5


def test_backends_are_ranked_by_each_figure(found):
    assert row(found.estimates, "mars", "latency_mean_s").rank == 1
    assert row(found.estimates, "fcfs", "goodput_3").rank == 2
    assert found.rankings[0].order == (("mars",), ("fcfs",))


def test_differences_and_ratios_are_paired_by_seed(found):
    apart = row(found.differences, "mars", "latency_mean_s")
    assert apart.difference == -22.5
    assert apart.ratio == pytest.approx(17.5 / 40)
    assert apart.typical_ratio.value == pytest.approx((0.5 + 20 / 50) / 2)
    assert (apart.lowest_ratio, apart.highest_ratio) == pytest.approx((20 / 50, 15 / 30))
    assert (apart.ahead, apart.seeds, apart.baseline) == (2, 2, "fcfs")


@pytest.mark.parametrize("number", [1, 2, 5])
def test_few_seeds_settle_nothing_and_one_seed_nothing_either(number, tmp_path):
    few = {"fcfs": seeds(*[SLOW] * number), "mars": seeds(*[FAST] * number)}
    found = compare([write_sweep(tmp_path / "few", few)])
    assert {d.standing for d in found.differences} == {"unclear"}
    assert all(d.typical_difference.low is None for d in found.differences)
    told = "1 seed cannot" if number == 1 else f"{number} seeds cannot"
    assert told in found.cautions[0]
    assert "run 6 or more" in found.cautions[0]


def test_six_seeds_that_agree_are_enough(tmp_path):
    six = {"fcfs": seeds(*[SLOW] * 6), "mars": seeds(*[FAST] * 6)}
    many = compare([write_sweep(tmp_path / "six", six)])
    assert row(many.differences, "mars", "latency_mean_s").standing == "better"
    assert row(many.differences, "mars", "goodput_3").standing == "better"
    assert not many.cautions
    assert row(compare([tmp_path / "six"], baseline="mars").differences, "fcfs",
               "latency_mean_s").standing == "worse"  # fmt: skip
    surer = compare([tmp_path / "six"], confidence=0.99)
    assert row(surer.differences, "mars", "latency_mean_s").standing == "unclear"
    assert "run 8 or more" in surer.cautions[0]


def test_compare_and_the_gate_say_better_by_the_same_seeds(tmp_path):
    """One rule: what compare calls worse, a gate without a margin fails, and on as many seeds."""
    for number in (5, 6):
        base = write_sweep(tmp_path / f"b{number}", {"fcfs": seeds(*[FAST] * number)})
        slow = write_sweep(tmp_path / f"s{number}", {"mars": seeds(*[SLOW] * number)})
        (latency,) = [d for d in compare([base, slow]).differences if d.figure == LATENCY]
        verdict = gate(base, slow, GateRules((rule_of("latency", "0%"),))).verdict
        expected = {5: ("unclear", "inconclusive"), 6: ("worse", "fail")}
        assert (latency.standing, verdict) == expected[number]


def test_equal_backends_are_level_and_share_a_rank(tmp_path):
    runs = {"mars": seeds(FAST, FAST), "fcfs": seeds(FAST, FAST), "slow": seeds(SLOW, SLOW)}
    found = compare([write_sweep(tmp_path / "ties", runs)])
    assert found.rankings[0].order == (("fcfs", "mars"), ("slow",))
    console = Console(width=80, file=io.StringIO())
    render(found, [], console)
    assert "ranking on ilr-1 at load 0.9: fcfs = mars > slow" in console.file.getvalue()
    assert [row(found.estimates, name, "latency_mean_s").rank for name in runs] == [1, 1, 3]
    assert row(found.differences, "mars", "latency_mean_s").ahead == 0
    assert record(found)["rankings"][0]["told"] == "fcfs = mars > slow"


def test_tenants_have_a_table_and_figures_where_there_are_several(tmp_path):
    shared = {"workload_meta": {"load": 0.9, "tools": "recorded", "tenants": "even:2"}}
    run = write_run(tmp_path / "run", tenants={"a": "red", "b": "blue"}, **shared)
    found = compare([run], alphas=[2.0])
    assert row(found.estimates, "fcfs", "worst_tenant_goodput_2").mean == 0.0
    assert row(found.estimates, "fcfs", "tenant_jain").mean == 16 / 20  # slowdowns of 1 and 3
    assert [(one.tenant, one.good, one.service) for one in found.tenants] == [
        ("blue", 0.0, 0.5),
        ("red", 1.0, 0.5),
    ]
    console = Console(width=80, file=io.StringIO())
    render(found, [], console)
    assert "ilr-1 at load 0.9, tools recorded, tenants even:2" in console.file.getvalue()
    cells = [line.split() for line in console.file.getvalue().splitlines()]
    assert ["fcfs", "red", "1", "100.0%", "1.00", "1.00", "50%", "(0–100)"] in cells


def test_one_tenant_has_no_table_and_no_such_figure(tmp_path):
    found = compare([write_run(tmp_path / "run")])
    assert found.tenants == ()
    assert {"tenant_jain", "worst_tenant_goodput"}.isdisjoint(
        e.figure.kind for e in found.estimates
    )


def test_what_is_found_names_the_tool_mix_it_holds_for(tmp_path):
    both = [write_sweep(tmp_path / mix, TWO, tools=mix) for mix in ("autonomous", "recorded")]
    found = compare(both)
    titles = ["ilr-1 at load 0.9, tools autonomous", "ilr-1 at load 0.9, tools recorded"]
    assert [found.matrix.title(place) for place in found.places] == titles
    assert {row.seeds for row in found.estimates} == {2}
    assert [place["tools"] for place in record(found)["places"]] == ["autonomous", "recorded"]
    console = Console(width=80, file=io.StringIO())
    render(found, [], console)
    assert all(title in console.file.getvalue() for title in titles)


def test_runs_of_two_mixes_are_never_taken_for_seeds_of_one_world(tmp_path):
    """Other seeds have other sessions anyway, so that no hash tells the two apart."""
    one = write_sweep(tmp_path / "one", {"fcfs": seeds(SLOW), "mars": seeds(FAST)}, tools="a")
    two = {"fcfs": {2: FAST}, "mars": {2: SLOW}}
    found = compare([one, write_sweep(tmp_path / "two", two, tools="b")])
    assert {row.seeds for row in found.estimates} == {1}
    with pytest.raises(UsageError, match=r"different workloads \(tools a, b\)"):
        compare([one / "fcfs_seed1", tmp_path / "two" / "mars_seed2"])


def test_the_curve_the_area_and_the_distribution(found):
    curve = {p.alpha: p.share for p in found.curves if p.backend == "mars"}
    assert (curve[1.0], curve[2.0], curve[3.0], curve[10.0]) == (0.5, 0.75, 1.0, 1.0)
    by_hand = (1 + 8 / 9 + 1 + 7 / 9) / 4
    assert row(found.areas, "mars").area == pytest.approx(by_hand)
    steps = [(p.slowdown, p.share) for p in found.cdf if p.backend == "mars"]
    assert steps == [(1.0, 0.5), (2.0, 0.75), (3.0, 1.0)]


def test_ttft_by_round_pools_the_seeds(found):
    first = row(found.ttft_by_round, "fcfs")
    assert (first.round, first.rounds, first.ready_p99_s) == (0, 4, 1.0)


def test_the_oracles_share(tmp_path):
    runs = {"fcfs": seeds(SLOW, SLOW), "oracle": seeds(FAST, FAST)}
    found = compare([write_sweep(tmp_path / "o", runs)])
    assert row(found.of_oracle, "fcfs").share == 0.5
    assert row(found.of_oracle, "fcfs").typical == (0.5, None, None)


def test_rankings_along_a_variation(tmp_path):
    folders = [
        write_sweep(tmp_path / "base", {"fcfs": seeds(SLOW), "mars": seeds(FAST)}),
        write_sweep(tmp_path / "s", {"fcfs": seeds(FAST), "mars": seeds(SLOW)}, variation="slower"),
    ]
    (held,) = compare(folders).held["variation"]
    assert (held.verdict, held.base_ranking) == ("turned", (("mars",), ("fcfs",)))


def test_loose_runs_meet_at_one_place(tmp_path):
    runs = [
        write_run(tmp_path / f"{name}{seed}", name, SLOW, seed=seed)
        for name in ("fcfs", "mars")
        for seed in (1, 2)
    ]
    found = compare(runs)
    assert found.backends == ("fcfs", "mars")
    assert len(found.places) == 1
    assert row(found.differences, "mars", "latency_mean_s").difference == 0


def test_a_folder_of_runs_stands_for_all_of_them(tmp_path):
    for seed in (1, 2, 3):
        write_run(tmp_path / "runs" / str(seed), "mars", seed=seed)
    assert compare([tmp_path / "runs"]).estimates[0].seeds == 3


def test_one_backend_with_other_parameters_is_told_apart(tmp_path):
    a = write_run(tmp_path / "a", "mars", FAST, params={"cap": 3, "aging_s": 1})
    b = write_run(tmp_path / "b", "mars", SLOW, params={"cap": 5, "aging_s": 1})
    assert compare([a, b]).backends == ("mars (cap=3)", "mars (cap=5)")


def test_the_same_backend_twice_goes_by_its_folder(tmp_path):
    a = write_sweep(tmp_path / "before", {"mars": seeds(SLOW)})
    b = write_sweep(tmp_path / "after", {"mars": seeds(FAST)})
    assert compare([a, b]).backends == ("mars in before", "mars in after")


def test_a_run_given_twice_is_refused(tmp_path):
    run = write_run(tmp_path / "run")
    with pytest.raises(UsageError, match="given twice"):
        compare([run, run])


UNLIKE = {
    "workload": ({"workload_hash": "07fe"}, "different workloads (ilr-1 at load 0.9 91c2-1"),
    "hardware": ({"hardware": {**HARDWARE, "hash": "0000"}}, "hardware (hash fd5e, 0000)"),
    "engine": ({"settings": {"tool_cores": 4}}, "different engines (tool_cores 8, 4)"),
}


@pytest.mark.parametrize("dimension", UNLIKE)
def test_what_is_not_alike_is_refused_by_name_unless_told(dimension, tmp_path):
    fields, told = UNLIKE[dimension]
    a, b = write_run(tmp_path / "a", "fcfs"), write_run(tmp_path / "b", "mars", **fields)
    with pytest.raises(UsageError) as refused:
        compare([a, b])
    assert told in str(refused.value)
    assert f"--across {dimension}" in str(refused.value)
    assert refused.value.exit_code == 2
    assert set(compare([a, b], across=[dimension]).backends) == {"fcfs", "mars"}


def test_another_recipe_is_another_workload(tmp_path):
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b", workload="ilr-4")
    with pytest.raises(UsageError, match="different workloads"):
        compare([a, b])
    labels = compare([a, b], across=["workload,hardware"]).backends
    assert labels == ("fcfs on ilr-1 at load 0.9", "fcfs on ilr-4 at load 0.9")


def test_another_gpu_is_other_hardware(tmp_path):
    a = write_run(tmp_path / "a")
    b = write_run(tmp_path / "b", hardware={**HARDWARE, "gpu": "h100", "hash": "1"})
    with pytest.raises(UsageError, match="different hardware"):
        compare([a, b])
    assert compare([a, b], across=["hardware"]).backends == ("fcfs on h200", "fcfs on h100")


def test_more_gpus_that_share_the_model_are_other_hardware(tmp_path):
    a = write_run(tmp_path / "a")
    b = write_run(tmp_path / "b", hardware={**HARDWARE, "tensor_parallel": 4, "hash": "1"})
    with pytest.raises(UsageError, match="different hardware"):
        compare([a, b])
    assert compare([a, b], across=["hardware"]).backends == ("fcfs on h200", "fcfs on h200x4")


def behind(folder, replicas, **params):
    """A run of fcfs on so many replicas behind llm-d, at these parameters where they are given."""
    router = {"name": "llm-d", "params": {**choose_router("llm-d").params, **params}}
    several = {"replicas": replicas, "router": router}
    hardware = {**HARDWARE, "kv_tokens": 1600 * replicas}
    return write_run(folder, "fcfs", hardware=hardware, settings={"tool_cores": 8, **several})


@pytest.mark.parametrize(
    ("dimension", "other", "refusal", "labels"),
    [
        (
            "replicas",
            {"replicas": 8},
            "different replicas (replicas 4, 8)",
            ("fcfs on 4 replicas", "fcfs on 8 replicas"),
        ),
        (
            "router",
            {"replicas": 4, "kv_weight": 0.0},
            "different routers (router llm-d, llm-d (kv_weight=0.0))",
            ("fcfs behind llm-d", "fcfs behind llm-d (kv_weight=0.0)"),
        ),
    ],
)
def test_replicas_and_routers_are_places_or_columns(tmp_path, dimension, other, refusal, labels):
    a, b = behind(tmp_path / "a", 4), behind(tmp_path / "b", **other)
    with pytest.raises(UsageError) as refused:
        compare([a, b])
    assert refusal in str(refused.value)
    found = compare([a, b], across=[dimension])
    assert found.backends == labels
    (base,) = compare([a]).places
    assert base.title == "ilr-1 at load 0.9, 4 replicas behind llm-d"


def test_one_engine_stands_beside_several(tmp_path):
    one = write_run(tmp_path / "one", "fcfs", hardware={**HARDWARE, "kv_tokens": 1600})
    found = compare([one, behind(tmp_path / "four", 4)], across=["replicas", "router"])
    assert found.backends == (
        "fcfs on one engine behind no router",
        "fcfs on 4 replicas behind llm-d",
    )


def test_sweeps_of_several_replicas_are_places_of_their_own(tmp_path):
    four = write_sweep(tmp_path / "four", TWO, replicas=4, router="dynamo")
    eight = write_sweep(tmp_path / "eight", TWO, replicas=8, router="dynamo")
    found = compare([four, eight])
    assert [p.fleet for p in found.places] == [f"{n} replicas behind dynamo" for n in (4, 8)]
    assert len(found.held["replicas"]) == 1
    assert compare([four, write_sweep(tmp_path / "one", TWO)]).places[0].fleet == ""


def test_sweeps_that_compare_something_each_stand_side_by_side(tmp_path):
    a = write_sweep(tmp_path / "a", TWO)
    b = write_sweep(tmp_path / "b", TWO, hardware="h100")
    assert len(compare([a, b]).places) == 2


def test_backends_without_a_common_seed_are_refused(tmp_path):
    a, b = write_run(tmp_path / "a", seed=1), write_run(tmp_path / "b", "mars", seed=2)
    with pytest.raises(UsageError, match="no seed in common"):
        compare([a, b])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"baseline": "fcsf"}, "Did you mean 'fcfs'"),
        ({"alphas": (0.5,)}, "alpha=0.5"),
        ({"across": ["weather"]}, "Unknown dimension"),
        ({"confidence": 95}, "confidence must be above 0.5"),
    ],
)
def test_what_cannot_be_is_refused(arguments, told, tmp_path):
    with pytest.raises(UsageError, match=told):
        compare([write_run(tmp_path / "a")], **arguments)


def test_a_folder_of_nothing_is_refused(tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        compare([tmp_path])


def test_missing_and_invalid_runs_are_told(tmp_path):
    sweep = write_sweep(tmp_path / "sweep", TWO, planned=("mars_seed9",))
    late = write_run(tmp_path / "late", "late", unfinished=("b",), seed=1)
    cautions = compare([sweep, late], across=["engine"]).cautions
    assert "are not valid" in cautions[0]
    assert "1 planned runs" in cautions[1]


def test_failed_sessions_are_told_by_backend_and_reason(tmp_path):
    given = {"settings": {"max_failed": 1.0}, "failed": ("a",)}
    some = [write_run(tmp_path / f"mars{n}", "mars", seed=n, **given) for n in (1, 2)]
    found = compare([*some, write_run(tmp_path / "fcfs", "fcfs", settings={"max_failed": 1.0})])
    assert found.cautions[0] == (
        "2 sessions of mars failed, in 2 runs: 2 times the tool broke (as a)."
    )
    assert [source.failures[0]["sessions"] for source in found.sources[:2]] == [1, 1]


def test_a_run_of_which_half_failed_is_not_valid_and_says_why(tmp_path):
    run = write_run(tmp_path / "run", failed=("a",))
    (reason,) = compare([run]).sources[0].reasons
    assert reason == (
        "1 of 2 sessions failed, more than 1 % (--max-failed): 1 time the tool broke (as a)"
    )


def test_an_unfinished_session_is_never_good(tmp_path):
    run = write_run(tmp_path / "run", latencies=FAST, unfinished=("b",))
    found = compare([run])
    assert row(found.estimates, "fcfs", "goodput_3").mean == 0.5
    assert row(found.fairness, "fcfs").starved == 1


def test_a_capacity_search_is_one_number(tmp_path):
    answer = {
        "backend": "mars", "workload": "ilr-1", "hardware": "h200", "alpha": 3.0, "share": 0.9,
        "seeds": 3, "rate": 0.02, "above": 0.021, "probes": 7, "tried": [],
    }  # fmt: skip
    (tmp_path / "capacity").mkdir()
    write_json(tmp_path / "capacity" / "capacity.json", answer)
    (capacity,) = compare([tmp_path / "capacity"]).capacities
    assert (capacity.rate, capacity.above, capacity.probes) == (0.02, 0.021, 7)
    (tmp_path / "capacity" / "capacity.json").write_text("{}")
    with pytest.raises(UsageError, match="capacity search"):
        compare([tmp_path / "capacity"])


def test_rows_become_a_table_and_json(found):
    table = frame(found.differences)
    columns = {"title", "load", "difference", "typical_difference_low", "typical_ratio_high"}
    assert columns <= set(table.columns)
    text = json.dumps(record(found), allow_nan=False)
    assert json.loads(text)["places"][0]["title"] == "ilr-1 at load 0.9"


def test_traces_hold_what_happened_over_time(found):
    over_time = traces(found)
    assert {p.backend for p in over_time.evictions} == {"fcfs", "mars"}
    assert all(p.blocks_per_s == 0 for p in over_time.evictions)
    assert over_time.kv == ()


def test_the_tables_fit_a_narrow_screen(tmp_path):
    runs = {"fcfs": seeds(SLOW, SLOW), "mars": seeds(FAST, FAST), "oracle": seeds(FAST, FAST)}
    found = compare([write_sweep(tmp_path / "o", runs)])
    console = Console(width=80, file=io.StringIO())
    render(found, [], console)
    text = console.file.getvalue()
    assert "…" not in text
    assert "+50.0 pts" in text
    assert "ranking on ilr-1 at load 0.9: mars = oracle > fcfs" in text
    assert "2/2" in text
    assert "50.0%" in text


def test_named_metrics_are_shown_instead(found):
    console = Console(width=80, file=io.StringIO())
    render(found, [Figure("slowdown_max")], console)
    text = console.file.getvalue()
    assert "worst slowdown" in text
    assert "mean latency" not in text
