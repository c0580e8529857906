"""A cell is the run that `marsbench run` would make; a variation changes the world alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marsbench.engines import run
from marsbench.judge.sweep.cells import cells_of
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.play import Order, job_of, play, request_of
from marsbench.judge.sweep.spec import read_sweep_file
from sweep.fakes import sweep_file

TINY = """
backends = ["fcfs"]
sessions = 2
[[engines]]
profile = "paper"
block_size = 64
[[workloads]]
name = "ilr-1"
loads = [0.9]
[[variations]]
label = "base"
[[variations]]
label = "slower"
step = 1.2
tools = 2.0
"""


@pytest.fixture
def cells(tmp_path):
    path = sweep_file(tmp_path, TINY)
    return cells_of(read_sweep_file(path), tmp_path)


@pytest.mark.vllm
def test_a_cell_gives_what_a_run_gives(tmp_path, cells):
    root = tmp_path / "out"
    SweepFolder.create(root, "mine", TINY, [cells[0].name])
    play(Order(root, cells[0], "inputs"))
    (ours,) = SweepFolder.open(root).results()
    _, theirs = run(replace(request_of(cells[0]), output=tmp_path / "run"))
    assert ours.summary == theirs
    assert SweepFolder.open(root).is_complete(cells[0].name, "inputs")


@pytest.mark.vllm
def test_a_variation_meets_the_same_traffic(tmp_path, cells):
    base, slower = (job_of(cell, tmp_path / cell.name) for cell in cells)
    arrivals = [[s.arrival_s for s in job.workload.sessions] for job in (base, slower)]
    assert arrivals[0] == arrivals[1]
    assert slower.alone.mean_gpu_s == pytest.approx(1.2 * base.alone.mean_gpu_s, rel=1e-3)
