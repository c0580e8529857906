"""The gate's own error rates, on pools whose truth is known."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from scipy import stats

from compare.builders import seeds, write_sweep
from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.gate.rules import rule_of
from studies.calibration import document as written
from studies.calibration import rates
from studies.calibration.__main__ import main
from studies.calibration.pool import SIZES, Pool, read_pool
from studies.calibration.rates import coverage, rate, row, slower, swapped, unpaired

P95 = Figure("latency_p95_s")
RULE = rule_of(LATENCY, "5%")
VARIATIONS = {"base": 1.0, "step-1.001": 1.0005, "+5 %": 1.05, "+10 %": 1.1, "+20 %": 1.2}
REAL = {"base": 1.0, "step-1.001": 1.0005, "step-1.033": 1.04}


def pool(scatter=0.01, size=40):
    """Seeds that differ by a third, and slow down by 10 % give or take the scatter."""
    rng = np.random.default_rng(1)
    base = rng.normal(300, 100, size).clip(50)
    noise = rng.normal(1, scatter, size)
    figures = {n: dict.fromkeys(written.FIGURES, base * (k if k == 1 else k * noise))
               for n, k in VARIATIONS.items()}  # fmt: skip
    return Pool("mars on ilr-1", ("3f2a91c",), 24, tuple(range(size)), figures, 9, {LATENCY: 0.04})


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(rates, "DRAWS", 120)


def test_the_true_change_is_the_pools():
    assert pool(scatter=0.0).change("+10 %", LATENCY) == pytest.approx(0.1)


def test_ten_per_cent_is_caught_and_nothing_is_not():
    one = pool()
    caught = row("a", RULE, 6, slower(one, "+10 %", LATENCY, 6), 0.1)
    nothing = row("b", RULE, 6, slower(one, "step-1.001", LATENCY, 6), None)
    assert caught.failed.share > 0.9
    assert (nothing.failed.share, nothing.passed.share) == (0.0, 1.0)
    assert sum(r.share for r in (caught.failed, caught.inconclusive, caught.passed)) == 1


def test_without_pairing_the_same_is_rarely_settled():
    alone = row("c", RULE, 6, unpaired(pool(), LATENCY, 6), None)
    assert alone.inconclusive.share > 0.7


def test_a_coin_leaves_no_change_on_average():
    draw, rng = swapped(pool(), "+10 %", LATENCY, 10), np.random.default_rng(2)
    means = [np.mean(other - base) for base, other in (draw(rng) for _ in range(400))]
    assert abs(np.mean(means)) < 3


def test_a_draw_has_no_seed_twice():
    base, other = slower(pool(), "+10 %", LATENCY, 20)(np.random.default_rng(3))
    assert len(set(base)) == len(set(other)) == 20


def test_the_interval_holds_the_truth_more_often_than_a_bootstrap():
    found = coverage(pool(scatter=0.05), "+10 %", LATENCY, 6)
    assert found.gate.share > found.bootstrap.share
    assert found.gate.high > 0.95
    assert coverage(pool(), "+10 %", LATENCY, 5).gate is None


def test_a_rate_comes_with_wilsons_interval():
    assert rate(0, 100) == pytest.approx((0.0, 0.0, 0.0370), abs=1e-4)
    assert rate(50, 100) == pytest.approx((0.5, 0.4038, 0.5962), abs=1e-4)


def a_row(case, n, failed):
    share = rates.Rate(failed, failed - 0.01, failed + 0.01)
    return rates.Row(case, LATENCY, "5%", n, None, share, share, share)


def test_the_fewest_seeds_are_recommended_from_which_on_all_is_well():
    null = [
        a_row("step-1.001", n, failed) for n, failed in ((3, 0.0), (4, 0.1), (5, 0.0), (6, 0.0))
    ]
    caught = [a_row(written.TENTH, n, share) for n, share in ((3, 1), (4, 1), (5, 0.9), (6, 0.95))]
    sizes = (3, 4, 5, 6)
    assert written.recommended(null, caught, LATENCY, sizes) == 6
    assert written.recommended(null, caught, LATENCY, (3,)) == 3
    assert written.recommended(null, caught, LATENCY, (4, 5)) is None


def test_every_case_is_a_row_of_the_csv():
    rows = list(csv.DictReader(io.StringIO(written.document(pool())[1])))
    assert {one["case"] for one in rows} >= {"step-1.001", "+10 %", written.COIN, written.OTHERS}


def test_a_noisy_figure_is_told_how_many_seeds_it_would_take():
    one = pool(scatter=0.1, size=12)
    share = one.beyond("+10 %", LATENCY, 0.05)
    assert share == 0.75
    # Of 33 seeds 22 must lie beyond: at one half that happens in 4 % of cases, here in 90.5 %.
    assert stats.binom.sf(21, 33, 0.5) < 0.05
    assert stats.binom.sf(21, 33, share) > 0.9
    assert "about 33 (75% of seeds beyond the margin)" in written.document(one)[0]


def test_a_regression_that_few_seeds_make_is_caught_by_no_number_of_them():
    one = pool(scatter=0.3, size=12)
    assert one.typical("+10 %", LATENCY) < 0.05 < one.change("+10 %", LATENCY)
    assert "none up to 1,000 (" in written.document(one)[0]


def test_a_sweep_becomes_a_pool_with_regressions_of_known_size(tmp_path):
    folder = tmp_path / "sweep"
    folder.mkdir()
    for name, factor in REAL.items():
        sessions = {"a": 20.0, "b": 35.0, "c": 11.0}
        runs = {"mars": {s: {k: (x + s) * factor for k, x in sessions.items()} for s in range(12)}}
        for cell in write_sweep(tmp_path / name, runs, variation=name).glob("mars_*"):
            cell.rename(folder / f"{name}_{cell.name}")
    found = read_pool(folder, (LATENCY, P95))
    assert (len(found.seeds), found.pairs) == (12, 12)
    assert found.measured[LATENCY] == pytest.approx(0.04)
    assert found.change("step-1.001", LATENCY) == pytest.approx(0.0005)
    for name, size in SIZES.items():
        for figure in (LATENCY, P95):
            assert found.change(name, figure) == pytest.approx(size, abs=1e-4)


def test_a_pool_of_few_runs_is_refused(tmp_path, capsys):
    few = write_sweep(tmp_path / "few", {"mars": seeds({"a": 20.0})}, variation="base")
    assert main([str(few), "-o", str(tmp_path / "no.md")]) == 2
    assert "needs 10 seeds of base" in capsys.readouterr().err
