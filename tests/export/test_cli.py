"""`marsbench export`: what it prints, writes and refuses."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from marsbench.cli.main import app
from marsbench.errors import UsageError


def typed(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in ("export", *arguments)])
    if isinstance(result.exception, UsageError):
        raise result.exception
    return result


def test_csv_has_a_line_a_round_and_empty_cells_where_nothing_was_measured(run: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(typed(run, "--to", "csv").stdout)))
    assert [row["session"] for row in rows] == ["a", "b", "a/r0c0", "a"]
    assert (float(rows[0]["ttft_submit_s"]), rows[1]["ttft_submit_s"]) == (1.0, "")
    printed = typed(run, "--to", "csv", "--table", "sessions").stdout
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [(row["session"], row["slowdown"]) for row in rows] == [
        ("a", "2.0"),
        ("b", ""),
        ("a/r0c0", ""),
    ]


def test_each_format_is_printed_or_written(run: Path, tmp_path: Path) -> None:
    assert json.loads(typed(run, "--to", "vllm-bench").stdout)["completed"] == 3
    assert yaml.safe_load(typed(run, "--to", "llm-d").stdout)["version"] == "0.2.1"
    done = typed(run, "--to", "llm-d", "-o", tmp_path / "report.json")
    assert done.stdout == f"{tmp_path / 'report.json'}: {run} as llm-d\n"
    assert json.loads((tmp_path / "report.json").read_text())["version"] == "0.2.1"
    typed(run, "--to", "vllm-bench", "--detailed", "-o", tmp_path / "bench.json")
    assert len(json.loads((tmp_path / "bench.json").read_text())["ttfts"]) == 4


def test_a_run_that_was_killed_is_exported_as_far_as_it_went(run: Path) -> None:
    for name in ("summary.json", "wall.json", "rounds.parquet", "sessions.parquet"):
        (run / name).unlink()
    found = json.loads(typed(run, "--to", "vllm-bench").stdout)
    assert (found["completed"], found["marsbench_valid"], found["date"]) == (3, False, None)


def test_what_is_no_run_or_no_place_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run folder"):
        typed(tmp_path, "--to", "csv")
    with pytest.raises(UsageError, match="Cannot write to"):
        typed(run, "--to", "csv", "-o", tmp_path / "no" / "x.csv")
