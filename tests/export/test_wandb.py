"""A run through wandb's client, which has an environment of its own: `make wandb`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from export.test_cli import typed
from marsbench import extras
from marsbench.errors import RunFailedError, UsageError
from marsbench.report.export.mlflow import metrics, parameters
from marsbench.report.export.results import Results
from marsbench.report.export.wandb_run import record_of, write_wandb

CLIENT = Path(__file__).resolve().parents[2] / ".venv-wandb" / "bin" / "python"
READER = Path(__file__).with_name("wandb_reader.py")


def test_figures_are_the_summary_lists_the_history_and_what_was_asked_for_the_config(
    results: Results,
) -> None:
    record = record_of(results)
    figures = metrics(results)
    assert record["init"]["config"] == parameters(results)
    assert record["summary"]["goodput.3.share"] == results.summary["goodput"]["3"]["share"]
    rounds = [row["ttft_by_round.n"] for row in record["steps"] if "ttft_by_round.n" in row]
    assert rounds == [value for _, value in figures["ttft_by_round.n"]]
    assert {*record["summary"]} | {n for row in record["steps"] for n in row} == {*figures}
    assert (record["exit_code"] == 0) is results.facts["valid"]


def test_without_its_client_it_says_what_to_type(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs wandb .* type `pip install 'marsbench\[wandb\]'`"):
        typed(run, "--to", "wandb", "-o", tmp_path / "wandb")
    with pytest.raises(UsageError, match=r"--to wandb adds the run to a folder.* type -o wandb,"):
        typed(run, "--to", "wandb")
    assert not (tmp_path / "wandb").exists()


def test_a_client_that_fails_leaves_nothing(results: Results, tmp_path: Path) -> None:
    no_client = tmp_path / "python"
    no_client.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    no_client.chmod(0o755)
    with pytest.raises(RunFailedError, match=r"wandb's client wrote no run: .*No module named"):
        write_wandb(results, tmp_path / "out", str(no_client))
    assert [*(tmp_path / "out").iterdir()] == []


@pytest.mark.skipif(not CLIENT.exists(), reason="wandb's client is not here: make wandb")
def test_its_client_reads_back_what_was_written_and_left_nothing_elsewhere(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name, value in {
        "HOME": str(home), "TMPDIR": str(home), "WANDB_MODE": "online", "WANDB_DIR": str(home),
        "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    places = {write_wandb(results, tmp_path / "out", str(CLIENT)) for _ in range(2)}
    (place,) = places  # exported again, it takes its own place
    assert [*(tmp_path / "out").iterdir()] == [place]
    assert [*home.iterdir()] == []
    found = read(place)
    record = record_of(results)
    assert found["config"].items() >= record["init"]["config"].items()
    assert {n: found["summary"][n] for n in record["summary"]} == record["summary"]
    pairs = zip(found["history"], record["steps"], strict=True)
    assert [{name: row[name] for name in step} for row, step in pairs] == record["steps"]
    assert (found["name"], found["notes"]) == (results.name, record["init"]["notes"])
    assert (found["exit"], found["host"]) == (record["exit_code"], "marsbench")


def read(place: Path) -> dict[str, Any]:
    (log,) = place.glob("*.wandb")
    done = subprocess.run(
        [CLIENT, READER, log], cwd=place.parent, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
