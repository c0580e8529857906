"""Figures that a summary does not state as they are wanted here."""

from __future__ import annotations

import pytest

from marsbench.compare.figures import computed_tokens_per_s, figures_of
from marsbench.events import Evicted
from marsbench.runs import RunConfig, RunFolder
from marsbench.sweep.folder import Result
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


def test_cached_prompt_tokens_are_not_computed(tmp_path):
    one = a_round("a", 0, first=5.0, end=10.0, prompt=160, output=40, cached=60)
    summary = result(tmp_path, a_session("a", 0.0, 10.0, rounds=one)).summary
    assert computed_tokens_per_s(summary) == pytest.approx((100 + 40) / 10)
