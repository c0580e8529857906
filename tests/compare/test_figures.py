"""Figures that a summary does not state as they are wanted here."""

from __future__ import annotations

import json

import pytest

from marsbench.core.events import Evicted, SwappedIn, SwappedOut
from marsbench.core.runs import RunConfig, RunFolder
from marsbench.judge.compare.figures import computed_tokens_per_s, figures_of
from marsbench.judge.sweep.folder import Result
from metrics.story import a_round, a_session, told


def result(folder, *events, block_size=64):
    config = RunConfig(backend="fcfs", workload="w", workload_hash="1", block_size=block_size)
    with RunFolder.create(folder / "run", config) as run:
        for event in told(*events):
            run.emit(event)
        run.save_ideal({"a": 10.0})
        summary = run.finish()
    return Result({}, RunFolder.open(run.path), summary)


def test_evictions_are_in_the_papers_blocks(tmp_path):
    lost = [Evicted(1.0, "a", 5), Evicted(90.0, "a", 10)]
    figures = figures_of(result(tmp_path, a_session("a", 0.0, 100.0), lost))
    assert figures["evicted_per_s"] == pytest.approx(15 * 4 / 100)
    assert figures["evicted_peak_per_s"] == 40
    assert figures["evicted_live_quarter_1_per_s"] == pytest.approx(5 * 4 / 25)
    assert figures["evicted_live_quarter_2_per_s"] == 0


def test_what_is_swapped_is_in_no_eviction_figure(tmp_path):
    moved = [SwappedOut(1.0, "a", 100), Evicted(1.0, "a", 5), SwappedIn(2.0, "a", 0, 100)]
    figures = figures_of(result(tmp_path, a_session("a", 0.0, 100.0), moved))
    assert figures["evicted_per_s"] == figures["evicted_live_per_s"] == pytest.approx(0.2)
    assert figures["evicted_peak_per_s"] == 20
    assert figures["evicted_live_quarter_1_per_s"] == pytest.approx(0.8)
    assert figures["swapped_out_per_s"] == pytest.approx(100 * 4 / 100)


def test_tokens_from_host_memory_are_neither_computed_nor_hits_on_the_gpu(tmp_path):
    one = a_round("a", 0, first=1.0, end=2.0, prompt=160, output=40)
    two = a_round("a", 1, ready=3.0, first=5.0, end=10.0, prompt=200, output=40, cached=20)
    again = a_round(
        "a", 1, ready=3.0, first=5.0, end=10.0, prompt=200, output=40, cached=20, loaded=100
    )
    recomputed = result(tmp_path / "one", a_session("a", 0.0, 10.0, rounds=[*one, *two]))
    loaded = result(tmp_path / "two", a_session("a", 0.0, 10.0, rounds=[*one, *again]))
    assert computed_tokens_per_s(recomputed.summary) == pytest.approx((160 + 180 + 80) / 10)
    assert computed_tokens_per_s(loaded.summary) == pytest.approx((160 + 80 + 80) / 10)
    figures = figures_of(loaded)
    assert (figures["hit_rate"], figures["host_hit_rate"]) == (0.1, 0.5)


def test_a_run_of_before_swaps_were_told_apart_has_its_figures(tmp_path):
    one = a_round("a", 0, first=5.0, end=10.0, prompt=160, output=40, cached=60, loaded=None)
    found = result(tmp_path, a_session("a", 0.0, 10.0, rounds=one))
    path = found.run.path / "summary.json"
    old = json.loads(path.read_text())
    del old["swaps"], old["prefix_hit_rate"]["host_all"]
    del old["prefix_hit_rate"]["host_continuation"]
    path.write_text(json.dumps(old))
    (path.parent / "files.json").unlink()
    figures = figures_of(Result({}, found.run, found.run.summary()))
    assert figures["computed_tokens_per_s"] == pytest.approx((100 + 40) / 10)
    assert figures["host_hit_rate"] is None
    assert "swapped_out_per_s" not in figures


def test_cached_prompt_tokens_are_not_computed(tmp_path):
    one = a_round("a", 0, first=5.0, end=10.0, prompt=160, output=40, cached=60)
    summary = result(tmp_path, a_session("a", 0.0, 10.0, rounds=one)).summary
    assert computed_tokens_per_s(summary) == pytest.approx((100 + 40) / 10)
