"""Small charts of a run: what was measured is drawn, what was not is not."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from export.conftest import EVENTS, written
from marsbench.core.events import Evicted
from marsbench.runs import RunFolder
from marsbench.show.charts import WIDTH, charts_of, show_charts
from marsbench.show.seen import SeenRun, seen_in
from marsbench.text.sparklines import columns, sparkline


def test_a_sparkline_has_a_character_a_value() -> None:
    assert sparkline([0.0, 0.5, 1.0, None, 2.0], 1.0) == "▁▅█ █"
    # A little of something is not nothing, and nearly all is not all.
    assert sparkline([1e-9, 1 - 1e-9], 1.0) == "▂█"
    assert sparkline([0.0], 0.0) == "▁"


def test_columns_are_means_of_equal_stretches() -> None:
    samples = [(0.0, 2.0), (1.0, 4.0), (9.0, 8.0), (10.0, 10.0), (11.0, 99.0)]
    assert columns(*zip(*samples, strict=True), 0.0, 10.0, 2) == [3.0, 9.0]
    assert columns(*zip(*samples, strict=True), 0.0, 10.0, 5) == [3.0, None, None, None, 9.0]
    assert columns([3.0], [1.0], 3.0, 3.0, 2) == [1.0, None]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    events = [*EVENTS, Evicted(11.5, "a", 7)]
    return RunFolder.open(written(tmp_path / "run", events))


@pytest.fixture
def run(folder: RunFolder) -> SeenRun:
    return seen_in(folder)


def test_a_run_has_three_charts(run: SeenRun) -> None:
    charts = {chart.name: chart for chart in charts_of(run)}
    assert list(charts) == ["goodput", "KV cache in use", "evicted blocks"]
    # One of two sessions finished, in twice its time alone.
    goodput = charts["goodput"]
    assert (goodput.values[0], goodput.values[-1], goodput.peak) == (0.0, 0.5, "0% to 50%")
    assert charts["KV cache in use"].peak == "peak 50%"
    assert charts["evicted blocks"].peak == "peak 7/s"
    assert all(len(chart.values) == WIDTH for chart in charts.values())


def test_a_run_that_is_played_has_the_charts_of_one_that_ended(
    folder: RunFolder, run: SeenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And reads its events once, whatever is shown of them."""
    for name in ("summary.json", "sessions.parquet", "evictions.parquet", "files.json"):
        (folder.path / name).unlink()
    reads = []
    stream = folder.stream
    monkeypatch.setattr(folder, "stream", lambda *kinds: reads.append(kinds) or stream(*kinds))
    monkeypatch.setattr(folder, "events", None)
    found = seen_in(folder)
    assert list(charts_of(found)) == list(charts_of(run))
    assert found.summary["latency"] == run.summary["latency"]
    assert not found.summary["valid"]
    assert len(reads) == 1


def test_of_a_run_that_ended_no_event_is_read_again(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "measure", None)
    monkeypatch.setattr(folder, "stream", None)
    found = seen_in(folder)
    assert len(found.usage.at) == 2
    assert [s.session for s in found.sessions] == ["a", "b"]
    assert sum(found.evictions.blocks) == 7


def test_a_run_of_before_samples_were_a_table_has_the_same_charts(
    folder: RunFolder, run: SeenRun
) -> None:
    (folder.path / "usage.parquet").unlink()
    assert list(charts_of(seen_in(folder))) == list(charts_of(run))


def test_what_was_not_measured_has_no_chart(tmp_path: Path) -> None:
    blind = {"unmeasured": ("evicted",), "total_blocks": None}
    folder = RunFolder.open(written(tmp_path / "blind", EVENTS, **blind))
    for name in ("ideal.json", "summary.json"):
        (folder.path / name).unlink()
    found = seen_in(folder)
    assert list(charts_of(found)) == []
    text = io.StringIO()
    show_charts(found, Console(file=text))
    assert text.getvalue() == ""


def test_charts_fit_a_screen(run: SeenRun) -> None:
    text = io.StringIO()
    show_charts(run, Console(file=text, width=80))
    lines = text.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[1].startswith("goodput ")
    assert lines[1].rstrip().endswith("α 1 to 10, 0% to 50%")
