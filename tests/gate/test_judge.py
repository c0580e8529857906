"""Verdicts: three for a check, the worst for all, and errors where there is nothing to judge."""

from __future__ import annotations

import pytest

from compare.builders import HARDWARE, seeds, write_run, write_sweep
from marsbench.judge.gate import GateError, GateRules, gate, rule_of
from marsbench.judge.gate.judge import holm, verdict_of, worst

BASE = [{"a": 20.0, "b": 40.0 + n} for n in range(6)]
LATENCY = GateRules((rule_of("latency", "5%"),))


def times(factor, jitter=0.0):
    return [
        {name: s * (factor + jitter * (-1) ** n) for name, s in sessions.items()}
        for n, sessions in enumerate(BASE)
    ]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The side that is the same in most tests; nothing writes into it."""
    return write_sweep(tmp_path_factory.mktemp("sides") / "base", {"mars": seeds(*BASE)})


@pytest.fixture
def sides(base, tmp_path):
    def both(candidate, backend="mars"):
        return base, write_sweep(tmp_path / "candidate", {backend: seeds(*candidate)})

    return both


@pytest.mark.parametrize(
    ("candidate", "verdict", "code"),
    [
        (BASE, "pass", 0),
        (times(1.02), "pass", 0),
        (times(0.8), "pass", 0),
        (times(1.2), "fail", 1),
        (times(1.05, jitter=0.05), "inconclusive", 2),
        (times(1.2, jitter=0.3), "inconclusive", 2),
    ],
)
def test_the_interval_against_the_margin_decides(candidate, verdict, code, sides):
    report = gate(*sides(candidate), LATENCY)
    assert (report.verdict, report.exit_code) == (verdict, code)


def test_identical_runs_have_changed_by_exactly_nothing(sides):
    (check,) = gate(*sides(BASE), LATENCY).checks
    assert check.change == (0.0, 0.0, 0.0)
    assert check.seeds == 6


def test_identical_runs_pass_without_a_margin(sides):
    rules = GateRules((rule_of("latency", "0%"), rule_of("goodput", "0"), rule_of("makespan_s", 0)))
    assert gate(*sides(BASE), rules).verdict == "pass"


def test_goodput_is_better_when_higher(sides):
    # Good are those within 3 × 10 s: one of two, then none.
    folders = sides(times(2.0))
    (check,) = gate(*folders, GateRules((rule_of("goodput", "5%", 3.0),))).checks
    assert (check.baseline, check.candidate, check.verdict) == (0.5, 0.0, "fail")
    assert check.change.value == -1.0
    assert gate(*reversed(folders), GateRules((rule_of("goodput", "0.1"),))).verdict == "pass"


def test_an_absolute_margin_is_in_the_figures_unit(sides):
    folders = sides(times(1.2))
    (check,) = gate(*folders, GateRules((rule_of("latency", "7"),))).checks
    assert check.change.value == pytest.approx(0.2 * 31.25)
    assert check.verdict == "pass"
    assert gate(*folders, GateRules((rule_of("latency", "5.9"),))).verdict == "fail"


def test_another_backend_is_matched_by_place(sides):
    report = gate(*sides(BASE, backend="fcfs"), LATENCY)
    assert (report.verdict, report.checks[0].backend) == ("pass", "fcfs")


def test_of_several_backends_each_meets_its_like(tmp_path):
    a = write_sweep(tmp_path / "a", {"mars": seeds(*BASE), "fcfs": seeds(*times(3.0))})
    b = write_sweep(tmp_path / "b", {"mars": seeds(*times(2.0)), "fcfs": seeds(*times(3.0))})
    report = gate(a, b, LATENCY)
    assert {check.backend: check.verdict for check in report.checks} == {
        "mars": "fail",
        "fcfs": "pass",
    }
    assert report.verdict == "fail"


def test_a_share_of_nothing_is_no_margin(sides):
    folders = sides(BASE)
    same = gate(*folders, GateRules((rule_of("evicted_per_s"),)))
    assert same.verdict == "pass"
    nothing, something = [0.0] * 6, [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    assert verdict_of(nothing, something, rule_of("evicted_per_s"), 0.95) == "inconclusive"
    assert verdict_of(nothing, something, rule_of("evicted_per_s", "0.5"), 0.95) == "fail"


def test_from_nothing_to_something_in_one_seed_is_beyond_every_share():
    base, other = [0.0, *[10.0] * 8], [5.0, *[10.1] * 8]
    assert verdict_of(base, other, rule_of("preemptions", "10%", better="lower"), 0.95) == "pass"
    others = [5.0, *[12.0] * 8]
    assert verdict_of(base, others, rule_of("preemptions", "10%", better="lower"), 0.95) == "fail"


@pytest.mark.parametrize("number", [1, 5])
def test_few_seeds_are_inconclusive_even_where_nothing_changed(number, tmp_path):
    a = write_sweep(tmp_path / "a", {"mars": seeds(*BASE[:number])})
    b = write_sweep(tmp_path / "b", {"mars": seeds(*BASE[:number])})
    (check,) = gate(a, b, LATENCY).checks
    assert (check.verdict, check.seeds, check.change) == ("inconclusive", number, (0.0, None, None))
    assert "below 6 seeds nothing is sure; run 6 or more" in check.why


def test_a_collapse_in_few_seeds_neither_passes_nor_fails(tmp_path):
    nine = [{"a": 20.0, "b": 40.0 + n} for n in range(9)]
    fallen = [*nine[:8], {"a": 2000.0, "b": 4000.0}]
    a = write_sweep(tmp_path / "a", {"mars": seeds(*nine)})
    b = write_sweep(tmp_path / "b", {"mars": seeds(*fallen)})
    (check,) = gate(a, b, LATENCY).checks
    assert (check.verdict, check.change) == ("inconclusive", (0.0, 0.0, 0.0))
    assert "but the mean changed by" in check.why


def test_seeds_that_only_one_side_has_are_left_out(tmp_path):
    a = write_sweep(tmp_path / "a", {"mars": seeds(*BASE)})
    b = write_sweep(tmp_path / "b", {"mars": seeds(*BASE[:4])})
    assert gate(a, b, LATENCY).checks[0].seeds == 4


def test_holm_by_hand():
    # 0.01 ≤ 0.05/3, 0.02 ≤ 0.05/2, 0.06 > 0.05.
    assert holm([0.06, 0.01, 0.02], 0.05) == [False, True, True]
    # 0.03 > 0.05/2 stops it, although 0.04 ≤ 0.05.
    assert holm([0.03, 0.04], 0.05) == [False, False]
    assert holm([], 0.05) == []


def test_many_checks_need_a_surer_fail(sides):
    # Six seeds of six: p = 1/64, which is under 5 % and over a fifth of it.
    folders = sides(times(1.2))
    assert gate(*folders, LATENCY).verdict == "fail"
    calm = tuple(rule_of("unfinished", margin) for margin in ("1", "2", "3", "4"))
    report = gate(*folders, GateRules((*LATENCY.rules, *calm)))
    assert report.checks[0].verdict == "inconclusive"


def test_the_worst_verdict_is_that_of_all():
    assert worst(["pass", "inconclusive", "pass"]) == "inconclusive"
    assert worst(["inconclusive", "fail", "pass"]) == "fail"
    assert worst(["pass"]) == "pass"
    with pytest.raises(GateError):
        worst([])


def test_sessions_that_failed_are_a_caution_of_the_verdict(tmp_path):
    given = {"settings": {"max_failed": 1.0}}
    a = write_run(tmp_path / "a", "mars", BASE[0], **given)
    b = write_run(tmp_path / "b", "mars", BASE[0], failed=("b",), **given)
    assert gate(a, b, LATENCY).cautions == (
        "1 session of mars failed, in 1 run: 1 time the tool broke (as b).",
    )


def failing(tmp_path):
    return write_run(tmp_path / "bad", "mars", BASE[0], failed=("b",))


def invalid(tmp_path):
    return write_run(tmp_path / "bad", "mars", BASE[0], unfinished=("b",))


ERRORS = {
    "a run that is not valid": (invalid, "not valid"),
    "a run in which sessions failed": (failing, "1 of 2 sessions failed, more than 1 %"),
    "a folder of nothing": (lambda tmp_path: tmp_path, "not a run folder"),
    "other sessions": (
        lambda tmp_path: write_run(tmp_path / "x", "mars", BASE[0], workload_hash="07fe"),
        "different workloads",
    ),
    "other hardware": (
        lambda tmp_path: write_run(
            tmp_path / "x", "mars", BASE[0], hardware={**HARDWARE, "kv_tokens": 1}
        ),
        "different hardware",
    ),
    "more GPUs that share the model": (
        lambda tmp_path: write_run(
            tmp_path / "x", "mars", BASE[0], hardware={**HARDWARE, "tensor_parallel": 4}
        ),
        "no run of mars on ilr-1.*h200",
    ),
    "other settings": (
        lambda tmp_path: write_run(tmp_path / "x", "mars", BASE[0], settings={"tool_cores": 4}),
        "different engines",
    ),
    "other seeds": (
        lambda tmp_path: write_run(tmp_path / "x", "mars", BASE[0], seed=9),
        "no seed in common",
    ),
    "another place": (
        lambda tmp_path: write_run(tmp_path / "x", "mars", BASE[0], workload="ilr-4"),
        "no run of mars on ilr-1",
    ),
    "a sweep that is not whole": (
        lambda tmp_path: write_sweep(tmp_path / "x", {"mars": seeds(BASE[0])}, planned=("y",)),
        "1 planned runs",
    ),
}


@pytest.mark.parametrize("what", ERRORS)
def test_nothing_can_be_judged_by(what, tmp_path):
    make, told = ERRORS[what]
    (tmp_path / "c").mkdir()
    base, candidate = write_run(tmp_path / "base", "mars", BASE[0]), make(tmp_path / "c")
    with pytest.raises(GateError, match=told) as refused:
        gate(base, candidate, LATENCY)
    assert refused.value.exit_code == 3
