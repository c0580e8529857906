"""The gate's own error rates, on pools whose truth is known."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from scipy import stats

from compare.builders import seeds, write_sweep
from marsbench.judge.compare.figures import AREA, GOODPUT, LATENCY, Figure
from marsbench.judge.gate.rules import rule_of
from marsbench.judge.sweep.folder import CELL, PLAN
from studies.calibration import rates
from studies.calibration.__main__ import main
from studies.calibration.document import document
from studies.calibration.pool import BASE, HARMLESS, Pool, read_pools
from studies.calibration.power import enough, estimated, failing
from studies.calibration.rates import COIN, OTHERS, PAIRED, coverage, rate, row, swapped, unpaired

RULE = rule_of(LATENCY, "5%")
WORSE = "mars window_max=3"


def pool(scatter=0.01, size=40, names=(LATENCY,)):
    """Seeds that differ by a third, and slow down by 10 % give or take the scatter."""
    rng = np.random.default_rng(1)
    base = rng.normal(300, 100, size).clip(50)
    cases = {BASE: 1.0, HARMLESS: 1.0005, WORSE: 1.1 * rng.normal(1, scatter, size)}
    figures = {case: dict.fromkeys(names, base * factor) for case, factor in cases.items()}
    return Pool("mars on ilr-1", ("3f2a91c",), 24, tuple(range(size)), figures)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(rates, "DRAWS", 120)


def test_the_true_change_is_the_pools():
    assert pool(scatter=0.0).change(WORSE, LATENCY) == pytest.approx(0.1)


def test_ten_per_cent_is_caught_and_nothing_is_not():
    caught, nothing = (row(pool(), case, RULE, 6) for case in (WORSE, HARMLESS))
    assert caught.failed.share > 0.9
    assert caught.change == pytest.approx(0.1, abs=0.01)
    assert (nothing.failed.share, nothing.passed.share, nothing.change) == (0.0, 1.0, None)
    assert sum(r.share for r in (caught.failed, caught.inconclusive, caught.passed)) == 1


def test_a_coin_takes_the_change_away():
    turned = row(pool(), WORSE, RULE, 6, COIN)
    assert turned.failed.share < 0.1
    assert turned.change is None


def test_without_pairing_the_same_is_rarely_settled():
    assert row(pool(), BASE, RULE, 6, OTHERS).inconclusive.share > 0.7


def test_a_coin_leaves_no_change_on_average():
    draw, rng = swapped(pool(), WORSE, LATENCY, 10), np.random.default_rng(2)
    means = [np.mean(other - base) for base, other in (draw(rng) for _ in range(400))]
    assert abs(np.mean(means)) < 3


def test_other_seeds_are_never_the_same_one():
    base, other = unpaired(pool(size=3), BASE, LATENCY, 300)(np.random.default_rng(3))
    assert not set(zip(base, other, strict=True)) & {(x, x) for x in base}
    assert len(set(base)) == 3


def test_one_odd_seed_may_be_drawn_twice():
    """Without replacement two of the eight would never dissent, and every draw would be caught."""
    one = pool(scatter=0.0, size=12)
    one.figures[WORSE][LATENCY][0] = one.base(LATENCY)[0]
    found = row(one, WORSE, RULE, 8).failed
    assert found.low < failing(11 / 12, 8) < found.high < 1


def test_the_interval_holds_the_truth_more_often_than_a_bootstrap():
    found = coverage(pool(scatter=0.05), WORSE, LATENCY, 6)
    assert found.gate.share > found.bootstrap.share
    assert found.gate.high > 0.95
    assert coverage(pool(), WORSE, LATENCY, 5).gate is None


def test_a_rate_comes_with_wilsons_interval():
    assert rate(0, 100) == pytest.approx((0.0, 0.0, 0.0370), abs=1e-4)
    assert rate(50, 100) == pytest.approx((0.5, 0.4038, 0.5962), abs=1e-4)


def test_the_fewest_seeds_are_those_from_which_on_all_is_well():
    one = pool(size=12)

    def a_row(case, n, failed, how=PAIRED):
        share = rates.Rate(failed, failed - 0.01, failed + 0.01)
        change = 0.1 if case == WORSE and how == PAIRED else None
        return rates.Row(one, case, how, LATENCY, "5%", n, change, share, share, share)

    caught = [a_row(WORSE, n, share) for n, share in ((6, 1), (7, 1), (8, 0.9), (9, 0.95))]
    nothing = [a_row(HARMLESS, n, failed) for n, failed in ((6, 0), (7, 0.1), (8, 0), (9, 0))]
    others = [a_row(BASE, n, 0.5, OTHERS) for n in (6, 7, 8, 9)]

    def found(*sizes):
        rows = [r for r in (*caught, *nothing, *others) if r.seeds in sizes]
        return enough(caught[0], rows)

    assert found(6, 7, 8, 9) == 9  # 8 is caught too rarely, 7 fails on nothing
    assert found(6) == 6
    assert found(7, 8) is None
    assert enough(caught[0], [*caught[:1], a_row(WORSE, 6, 0.1, COIN)]) is None


def test_the_share_beyond_the_margin_says_how_many_seeds_it_would_take():
    # Of 33 seeds 22 must lie beyond: at one half that happens in 4 % of cases, here in 90.5 %.
    assert stats.binom.sf(21, 33, 0.5) < 0.05
    assert stats.binom.sf(21, 33, 0.75) > 0.9
    assert estimated(0.75) == 33
    assert estimated(0.5) is None
    assert failing(0.9, 5) == 0.0


def test_a_regression_that_few_seeds_make_is_caught_by_no_number_of_them():
    one = pool(scatter=0.3, size=12)
    assert one.typical(WORSE, LATENCY) < 0.05 < one.change(WORSE, LATENCY)
    assert "none up to 1,000" in document([one])[0]


def test_every_case_is_a_row_of_the_csv():
    rows = list(csv.DictReader(io.StringIO(document([pool(size=12)])[1])))
    found = {(one["case"], one["how"]) for one in rows}
    assert found == {(HARMLESS, PAIRED), (WORSE, PAIRED), (WORSE, COIN), (BASE, OTHERS)}


def a_sweep(folder):
    """Two policies of which the second was not played again; each with a worse one."""
    sessions = {"a": 20.0, "b": 35.0, "c": 11.0}
    kinds = [("mars", "mars", BASE, 1.0), ("mars", "mars", HARMLESS, 1.0005),
             ("mars", WORSE, BASE, 1.1), ("fcfs", "fcfs", BASE, 1.5),
             ("fcfs", "slow", BASE, 3.0)]  # fmt: skip
    folder.mkdir()
    cells = []
    for number, (name, label, variation, factor) in enumerate(kinds):
        played = {s: {k: (x + s) * factor for k, x in sessions.items()} for s in range(1, 11)}
        part = write_sweep(folder / f"{number}", {name: played}, variation=variation)
        for cell in part.glob(f"{name}_*"):
            place = json.loads((cell / CELL).read_text())
            (cell / CELL).write_text(json.dumps({**place, "backend": label}))
            cells.append(f"{number}/{cell.name}")
    (folder / PLAN).write_text(json.dumps({"marsbench_sweep": 1, "name": "x", "cells": cells}))
    return folder


def test_a_sweep_becomes_a_pool_for_each_policy(tmp_path):
    mars, fcfs = read_pools(a_sweep(tmp_path / "sweep"))
    assert (mars.title.partition(" on ")[0], mars.cases) == ("mars", [HARMLESS, WORSE])
    assert (fcfs.title.partition(" on ")[0], fcfs.regressions) == ("fcfs", ["slow"])
    assert (mars.seeds, mars.sessions) == (tuple(range(1, 11)), 3)
    assert mars.change(WORSE, LATENCY) == pytest.approx(0.1)
    assert fcfs.change("slow", LATENCY) == pytest.approx(1.0)
    assert mars.beyond(WORSE, LATENCY, 0.05) == 10
    # Goodput is worse where it is lower.
    assert fcfs.beyond("slow", AREA, 0.05) == 10
    assert {GOODPUT, Figure("slowdown_mean"), AREA} <= set(mars.names)


def test_a_pool_of_few_runs_is_refused(tmp_path, capsys):
    few = write_sweep(tmp_path / "few", {"mars": seeds({"a": 20.0})}, variation="base")
    assert main([str(few), "-o", str(tmp_path / "no.md")]) == 2
    assert "needs at least 10 seeds of each policy" in capsys.readouterr().err
