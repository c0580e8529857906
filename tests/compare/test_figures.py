"""Figures that a summary does not state as they are wanted here."""

from __future__ import annotations

import json

import pytest

from marsbench.core.events import (
    Evicted,
    GpuSubmit,
    KvMoved,
    Placed,
    SwappedIn,
    SwappedOut,
    ToolEnd,
    ToolStart,
)
from marsbench.errors import UsageError
from marsbench.judge.compare.figures import Figure, figures_of
from marsbench.judge.compare.kinds import KINDS, Kind
from marsbench.judge.sweep.folder import Result
from marsbench.runs import RunConfig, RunFolder
from metrics.story import a_round, a_session, told

COMPUTED = Figure("computed_tokens_per_s")


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
    assert figures[Figure("evicted_per_s")] == pytest.approx(15 * 4 / 100)
    assert figures[Figure("evicted_peak_per_s")] == 40
    assert figures[Figure("evicted_live_quarter_1_per_s")] == pytest.approx(5 * 4 / 25)
    assert figures[Figure("evicted_live_quarter_2_per_s")] == 0


def test_what_is_swapped_is_in_no_eviction_figure(tmp_path):
    moved = [SwappedOut(1.0, "a", 100), Evicted(1.0, "a", 5), SwappedIn(2.0, "a", 0, 100)]
    figures = figures_of(result(tmp_path, a_session("a", 0.0, 100.0), moved))
    assert (
        figures[Figure("evicted_per_s")]
        == figures[Figure("evicted_live_per_s")]
        == pytest.approx(0.2)
    )
    assert figures[Figure("evicted_peak_per_s")] == 20
    assert figures[Figure("evicted_live_quarter_1_per_s")] == pytest.approx(0.8)
    assert figures[Figure("swapped_out_per_s")] == pytest.approx(100 * 4 / 100)


def test_what_came_from_another_replica_is_told_with_what_it_saved(tmp_path):
    again = a_round("a", 0, first=9.0, end=10.0, prompt=200, output=40, cached=20, loaded=100)
    came = [Placed(0.0, "a", 0, 1), KvMoved(0.0, "a", 0, 1, 0, 7, 1e9, 2.0, 3.0)]
    at = next(n for n, event in enumerate(again) if isinstance(event, GpuSubmit)) + 1
    rounds = [*again[:at], *came, *again[at:]]
    figures = figures_of(result(tmp_path, a_session("a", 0.0, 10.0, rounds=rounds)))
    assert figures[Figure("kv_moved_saved_tokens")] == 100
    assert figures[Figure("kv_move_wait_mean_s")] == 3.0


def test_tokens_from_host_memory_are_neither_computed_nor_hits_on_the_gpu(tmp_path):
    one = a_round("a", 0, first=1.0, end=2.0, prompt=160, output=40)
    two = a_round("a", 1, ready=3.0, first=5.0, end=10.0, prompt=200, output=40, cached=20)
    again = a_round(
        "a", 1, ready=3.0, first=5.0, end=10.0, prompt=200, output=40, cached=20, loaded=100
    )
    recomputed = result(tmp_path / "one", a_session("a", 0.0, 10.0, rounds=[*one, *two]))
    loaded = result(tmp_path / "two", a_session("a", 0.0, 10.0, rounds=[*one, *again]))
    assert figures_of(recomputed)[COMPUTED] == pytest.approx((160 + 180 + 80) / 10)
    assert figures_of(loaded)[COMPUTED] == pytest.approx((160 + 80 + 80) / 10)
    figures = figures_of(loaded)
    assert (figures[Figure("hit_rate")], figures[Figure("host_hit_rate")]) == (0.1, 0.5)


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
    assert figures[COMPUTED] == pytest.approx((100 + 40) / 10)
    assert figures[Figure("host_hit_rate")] is None
    assert Figure("swapped_out_per_s") not in figures


def test_a_run_whose_sessions_fan_out_has_the_path_and_the_slack(tmp_path):
    def call(number, child, end):
        at = ("s", 0, number, "branch")
        return [ToolStart(2.0, *at, child), ToolEnd(end, *at)]

    ends = [*call(0, "b", 5.0), *call(1, "c", 9.0)]
    last = a_round("s", 1, ready=9.0, first=9.0, end=10.0)
    whole = [*a_round("s", 0, first=1.0, end=2.0), *ends, *last]
    below = (a_session(n, 2.0, end, parent="s") for n, end in (("b", 5.0), ("c", 9.0)))
    found = result(tmp_path / "fans", a_session("s", 0.0, 10.0, rounds=whole), *below)
    figures = figures_of(found)
    assert figures[Figure("critical_llm_mean_s")] == 2 + 7 + 1
    assert figures[Figure("critical_share")] == pytest.approx(10 / 13)
    assert figures[Figure("slack_mean_s")] == 4 / 2
    assert figures[Figure("slack_share")] == pytest.approx(4 / 14)
    alone = figures_of(result(tmp_path / "alone", a_session("s", 0.0, 10.0)))
    assert Figure("critical_llm_mean_s") not in alone


def test_cached_prompt_tokens_are_not_computed(tmp_path):
    one = a_round("a", 0, first=5.0, end=10.0, prompt=160, output=40, cached=60)
    figures = figures_of(result(tmp_path, a_session("a", 0.0, 10.0, rounds=one)))
    assert figures[COMPUTED] == pytest.approx((100 + 40) / 10)


@pytest.mark.parametrize(
    ("typed", "figure", "label"),
    [
        ("latency_mean_s", Figure("latency_mean_s"), "mean latency"),
        ("goodput_3", Figure("goodput", 3.0), "goodput(3)"),
        ("goodput_1.5", Figure("goodput", 1.5), "goodput(1.5)"),
        ("goodput_rate_2", Figure("goodput_rate", 2.0), "goodput(2) a second"),
        ("goodput_area", Figure("goodput_area"), "goodput over α, area"),
    ],
)
def test_a_figure_is_typed_as_it_is_printed(typed, figure, label):
    assert (Figure.parse(typed), str(figure), figure.label) == (figure, typed, label)


@pytest.mark.parametrize("typed", ["goodput_3.0", "goodput_03", "goodput_3."])
def test_one_alpha_is_one_figure_however_it_is_typed(typed):
    assert Figure.parse(typed) == Figure("goodput", 3.0)


@pytest.mark.parametrize("typed", ["goodput", "goodput_", "goodput_x", "goodput_.", "latency_3"])
def test_what_is_no_figure_is_refused_with_those_that_are(typed):
    with pytest.raises(UsageError, match=r"Unknown metric .* Known: .*, backlog_drift, cap"):
        Figure.parse(typed)


def test_goodput_at_any_alpha_is_that_of_a_run_that_took_it(tmp_path):
    """However many sessions there are: a share times their number is not always a whole number."""
    events = [a_session(f"s{n:02}", 0.0, 10.0 + n) for n in range(49)]
    ideal = dict.fromkeys((f"s{n:02}" for n in range(49)), 10.0)
    config = RunConfig(backend="fcfs", workload="w", workload_hash="1", alphas=(1.0, 3.0))
    with RunFolder.create(tmp_path / "run", config) as run:
        for event in told(*events):
            run.emit(event)
        run.save_ideal(ideal)
        summary = run.finish()
    found = figures_of(Result({}, RunFolder.open(run.path), summary), (1.0, 3.0, 4.0))
    for alpha in (1.0, 3.0):
        good = summary["goodput"][f"{alpha:g}"]
        assert found[Figure("goodput", alpha)] == good["share"]
        assert found[Figure("goodput_rate", alpha)] == good["rate"]
    assert found[Figure("goodput", 4.0)] == 31 / 49


def test_a_figure_is_one_entry(monkeypatch, tmp_path):
    """Of a kind that is only in the table everything is known: name, label, side, value."""
    double = Kind("twice P50", "s", "lower", lambda run: 2 * run.summary["latency"]["p50"])
    monkeypatch.setitem(KINDS, "latency_twice_s", double)
    figure = Figure.parse("latency_twice_s")
    assert (figure.label, figure.unit, figure.better, figure.is_share) == (
        "twice P50", "s", "lower", False,
    )  # fmt: skip
    assert figures_of(result(tmp_path, a_session("a", 0.0, 30.0)))[figure] == 60.0


def test_the_steady_part_stands_beside_the_whole(tmp_path):
    """A quarter of the sessions came before it: of 80, the first 20."""
    stays = [12.0 if i < 20 else 24.0 if i < 40 else 40.0 for i in range(80)]
    stories = [a_session(f"s{i:02}", 50.0 * i, 50.0 * i + stay) for i, stay in enumerate(stays)]
    config = RunConfig(backend="fcfs", workload="w", workload_hash="1")
    with RunFolder.create(tmp_path / "run", config) as run:
        for event in told(*stories):
            run.emit(event)
        run.save_ideal({f"s{i:02}": 10.0 for i in range(80)})
        summary = run.finish()
    found = Result({}, RunFolder.open(run.path), summary)
    figures = figures_of(found, alphas=(1.5, 3.0))
    assert figures[Figure("goodput", 3.0)] == 40 / 80
    assert figures[Figure("steady_goodput", 3.0)] == 20 / 60
    assert figures[Figure("steady_goodput", 1.5)] == 0
    assert figures[Figure("steady_latency_mean_s")] == (20 * 24 + 40 * 40) / 60
    assert figures[Figure("steady_slowdown_mean")] == pytest.approx((20 * 2.4 + 40 * 4) / 60)
    assert figures[Figure("backlog_drift")] == 0
    (found.run.path / "sessions.parquet").unlink()
    assert figures_of(found)[Figure("steady_goodput", 3.0)] == 20 / 60


def test_a_run_without_a_steady_part_has_no_figures_of_it(tmp_path):
    figures = figures_of(result(tmp_path, a_session("a", 0.0, 100.0)))
    assert not any("steady" in str(figure) or "drift" in str(figure) for figure in figures)


def test_the_steady_window_of_before_is_none_of_ours(tmp_path):
    """It began at the first end: its figures are of other sessions."""
    found = result(tmp_path, a_session("a", 0.0, 100.0))
    path = found.run.path / "summary.json"
    old = json.loads(path.read_text())
    old["steady"] = {"from_s": 1.0, "to_s": 2.0, "throughput": {}, "latency": {}, "slowdown": {}}
    path.write_text(json.dumps(old))
    (path.parent / "files.json").unlink()
    assert found.run.summary()["steady"] is None
