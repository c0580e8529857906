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
from marsbench.text.sparklines import columns, sparkline


def test_a_sparkline_has_a_character_a_value() -> None:
    assert sparkline([0.0, 0.5, 1.0, None, 2.0], 1.0) == "▁▅█ █"
    # A little of something is not nothing, and nearly all is not all.
    assert sparkline([1e-9, 1 - 1e-9], 1.0) == "▂█"
    assert sparkline([0.0], 0.0) == "▁"


def test_columns_are_means_of_equal_stretches() -> None:
    samples = [(0.0, 2.0), (1.0, 4.0), (9.0, 8.0), (10.0, 10.0), (11.0, 99.0)]
    assert columns(samples, 0.0, 10.0, 2) == [3.0, 9.0]
    assert columns(samples, 0.0, 10.0, 5) == [3.0, None, None, None, 9.0]
    assert columns([(3.0, 1.0)], 3.0, 3.0, 2) == [1.0, None]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    events = [*EVENTS, Evicted(11.5, "a", 7)]
    return RunFolder.open(written(tmp_path / "run", events))


def test_a_run_has_three_charts(run: RunFolder) -> None:
    charts = {chart.name: chart for chart in charts_of(run)}
    assert list(charts) == ["goodput", "KV cache in use", "evicted blocks"]
    # One of two sessions finished, in twice its time alone.
    goodput = charts["goodput"]
    assert (goodput.values[0], goodput.values[-1], goodput.peak) == (0.0, 0.5, "0% to 50%")
    assert charts["KV cache in use"].peak == "peak 50%"
    assert charts["evicted blocks"].peak == "peak 7/s"
    assert all(len(chart.values) == WIDTH for chart in charts.values())


def test_what_was_not_measured_has_no_chart(tmp_path: Path) -> None:
    blind = {"unmeasured": ("evicted",), "total_blocks": None}
    folder = RunFolder.open(written(tmp_path / "blind", EVENTS, **blind))
    (folder.path / "ideal.json").unlink()
    assert list(charts_of(folder)) == []
    text = io.StringIO()
    show_charts(folder, Console(file=text))
    assert text.getvalue() == ""


def test_charts_fit_a_screen(run: RunFolder) -> None:
    text = io.StringIO()
    show_charts(run, Console(file=text, width=80))
    lines = text.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[1].startswith("goodput ")
    assert lines[1].rstrip().endswith("α 1 to 10, 0% to 50%")
