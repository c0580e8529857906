"""A run as MLflow's file store has it. MLflow itself was asked by hand: docs/exports.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from export.conftest import EVENTS, written
from export.test_cli import typed
from marsbench.errors import UsageError
from marsbench.report.export import mlflow
from marsbench.report.export.results import Results, read_results

NAME = re.compile(r"[\w.-]+", re.ASCII)
"""What MLflow's file store takes as the name of a parameter or metric, and no folder."""


def runs_in(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/*/meta.yaml"))


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_run_lies_where_mlflow_looks_and_says_what_it_is(run: Path, tmp_path: Path) -> None:
    typed(run, "--to", "mlflow", "-o", tmp_path / "mlruns")
    (place,) = runs_in(tmp_path / "mlruns")
    experiment = yaml.safe_load((place.parent / "meta.yaml").read_text())
    meta = yaml.safe_load((place / "meta.yaml").read_text())
    assert (experiment["name"], experiment["experiment_id"]) == ("marsbench", place.parent.name)
    assert (meta["run_id"], meta["experiment_id"]) == (place.name, place.parent.name)
    assert (meta["run_name"], meta["lifecycle_stage"]) == (run.name, "active")
    assert meta["status"] in (mlflow.FINISHED, mlflow.FAILED)
    assert 0 < meta["start_time"] <= meta["end_time"]
    assert meta["artifact_uri"] == (place / "artifacts").as_uri()
    assert sorted(path.name for path in (place / "artifacts").iterdir()) == [
        "run.json",
        "summary.json",
    ]


def test_figures_are_metrics_and_what_was_asked_for_is_parameters(results: Results) -> None:
    asked, found = mlflow.parameters(results), mlflow.metrics(results)
    assert (asked["backend"], asked["seed"], asked["params.alpha"]) == ("mars", "7", "2")
    summary = results.summary
    assert found["latency.max"] == [(0, summary["latency"]["max"])]
    assert found["goodput.3.share"] == [(0, summary["goodput"]["3"]["share"])]
    by_round = [(step, one["n"]) for step, one in enumerate(summary["ttft_by_round"])]
    assert found["ttft_by_round.n"] == by_round
    assert all(NAME.fullmatch(name) for name in [*asked, *found])
    assert "seed" not in found


def test_what_was_not_measured_has_no_file(empty: Results) -> None:
    assert empty.summary["latency"]["mean"] is None
    found = mlflow.metrics(empty)
    assert not any(name.startswith("latency.m") for name in found)
    assert found["latency.n"] == [(0, 0.0)]


def test_a_lines_value_is_the_figure_to_the_last_digit(run: Path, tmp_path: Path) -> None:
    place = mlflow.write_mlflow(read_results(run), run, tmp_path / "m")
    mean = json.loads((run / "summary.json").read_text())["slowdown"]["mean"]
    _, value, step = read(place / "metrics")["slowdown.mean"].split()
    assert (float(value), step) == (mean, "0")
    tags = read(place / "tags")
    assert tags["marsbench.valid"] in ("true", "false")
    assert tags["mlflow.note.content"].startswith("- ")


def test_runs_add_up_and_the_same_run_takes_its_own_place(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mlruns"
    for _ in range(2):
        typed(run, "--to", "mlflow", "-o", folder)
    other = written(tmp_path / "other", EVENTS, backend="fcfs", params={})
    typed(other, "--to", "mlflow", "-o", folder)
    assert {read(place / "params")["backend"] for place in runs_in(folder)} == {"mars", "fcfs"}
    assert len(runs_in(folder)) == 2
    assert [path for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_run_that_was_killed_is_said_to_be(run: Path, tmp_path: Path) -> None:
    for name in ("summary.json", "wall.json"):
        (run / name).unlink()
    place = mlflow.write_mlflow(read_results(run), run, tmp_path / "m")
    meta = yaml.safe_load((place / "meta.yaml").read_text())
    assert (meta["status"], meta["start_time"], meta["end_time"]) == (mlflow.KILLED, 0, None)


def test_a_folder_has_to_be_given_and_to_be_writable(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="type -o mlruns"):
        typed(run, "--to", "mlflow")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="Cannot write to"):
        typed(run, "--to", "mlflow", "-o", tmp_path / "file")
