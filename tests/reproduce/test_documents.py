"""From the folders of sweeps to documents."""

from __future__ import annotations

import csv
import io
import json

import pytest

from marsbench.judge.compare.figures import LATENCY
from marsbench.judge.compare.points import MatrixPoint, Spread
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.run import sweep
from reproduce.builders import HERE
from studies.reproduce.__main__ import main
from studies.reproduce.documents import along, matrix_of, story
from sweep.fakes import in_process, sweep_file

VARIED = """
backends = ["fcfs", "mars"]
seeds = [1, 2]
[[workloads]]
name = "ilr-1"
loads = [0.5, 0.9]
[[variations]]
label = "base"
[[variations]]
label = "slower"
step = 1.2
"""


@pytest.fixture
def folder(tmp_path):
    sweep(str(sweep_file(tmp_path, VARIED)), tmp_path / "out", 1, in_process)
    return tmp_path / "out"


def test_seeds_become_one_point(folder):
    points = matrix_of(list(SweepFolder.open(folder).results())).points
    assert len(points) == 8
    assert points[0].seeds == (1, 2)
    assert points[0].spread(LATENCY) == Spread(20.0, 20.0, 20.0)


def test_a_missing_seed_makes_no_mean():
    def spread(*values):
        runs = tuple({LATENCY: value} for value in values)
        return MatrixPoint(HERE, "fcfs", tuple(range(len(values))), runs).spread(LATENCY)

    assert spread(1.0, 3.0) == (2.0, 1.0, 3.0)
    assert spread(1.0, None) == (None, None, None)
    assert spread() == (None, None, None)


def test_the_story_has_every_point_in_its_table(folder):
    text, table = story([folder])
    assert "16 runs of `mine`" in text
    assert "beyond chance is said by `marsbench compare` alone, and takes 6 seeds" in text
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == 8
    assert rows[0]["latency_mean_s"] == "20"
    assert rows[0]["backend"] == "fcfs"


def test_both_documents_say_how_the_cap_came_about(tmp_path):
    text = VARIED.replace('["fcfs", "mars"]', '["mars", { name = "fcfs-cap", set = { cap = 2 } }]')
    sweep(str(sweep_file(tmp_path, text)), tmp_path / "capped", 1, in_process)
    for document in (story, along):
        told = document([tmp_path / "capped"])[0]
        assert "`fcfs-cap`: cap fixed at 2, not searched: no best control." in told


def test_missing_runs_are_told(folder):
    text = (folder / "sweep.json").read_text().replace('"cells": [', '"cells": [\n"never-played",')
    (folder / "sweep.json").write_text(text)
    assert "1 of 17 runs are missing" in story([folder])[0]


@pytest.mark.parametrize("document", [story, along])
def test_the_cautions_of_the_runs_are_in_every_document_counted(document, folder):
    cell = next(path for path in sorted(folder.iterdir()) if "_fcfs_" in path.name)
    summary = json.loads((cell / "summary.json").read_text())
    summary["cautions"] = [{"code": "SATURATED", "text": "The queue was still growing."}]
    (cell / "summary.json").write_text(json.dumps(summary))
    (cell / "files.json").unlink()
    text, _ = document([folder])
    assert "- SATURATED: 1 of 16 runs (ilr-1 at load 0.5, base: fcfs 1 of 2). The queue" in text


def test_both_files_are_written(folder, tmp_path):
    output = tmp_path / "reports" / "x.md"
    assert main(["along", str(folder), "-o", str(output)]) == 0
    assert "| ilr-1 at load 0.5 | slower | fcfs = mars | **held** |" in output.read_text()
    assert output.with_suffix(".csv").read_text().startswith("workload,load")


def test_what_is_no_sweep_is_told_in_one_sentence(tmp_path, capsys):
    assert main(["story", str(tmp_path), "-o", str(tmp_path / "x.md")]) == 2
    assert "is not the folder of a sweep" in capsys.readouterr().err
