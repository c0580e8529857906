"""A sweep on a local Ray cluster of two workers."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from marsbench.errors import UsageError
from marsbench.judge.sweep.cells import cells_of
from marsbench.judge.sweep.cluster import Cluster, play_away
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.play import Order, inputs_hash
from marsbench.judge.sweep.run import sweep
from marsbench.judge.sweep.spec import read_sweep_file
from sweep.fakes import fake_play, in_process, moody_play, sweep_file

FAILED = "ilr-1_load0.5_h200_default_base_fcfs_seed1"
KILLED = "ilr-1_load0.5_h200_default_base_fcfs_seed2"


@pytest.fixture
def file(tmp_path):
    return sweep_file(tmp_path)


@pytest.fixture
def cluster(monkeypatch):
    """Ray's workers find the fakes where this process does."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return lambda play: Cluster("local", play)


# Ray's own processes and sockets are closed by its shutdown, not one by one.
@pytest.mark.processes
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_two_workers_play_all_and_one_failure_stops_no_other(file, tmp_path, cluster):
    away, here = tmp_path / "away", tmp_path / "here"
    report = sweep(str(file), away, 2, cluster(moody_play))
    failures = dict(report.failures)
    assert failures[FAILED] == "ValueError: no such thing"
    assert "lost" in failures[KILLED]
    assert len(list(SweepFolder.open(away).results())) == 12 - len(failures)

    again = sweep(str(file), away, 2, cluster(fake_play))
    assert again.played == len(failures)
    assert again.failures == ()
    sweep(str(file), here, 1, in_process)
    assert figures(away) == figures(here)
    assert [path.name for path in (away / ".drafts").iterdir()] == ["lock"]


def test_a_node_with_other_code_refuses(file, tmp_path):
    cell = cells_of(read_sweep_file(file), file.parent)[0]
    order = Order(tmp_path, cell, inputs_hash(cell))
    assert play_away(fake_play, order).error is None
    refused = play_away(fake_play, replace(order, inputs="another"))
    assert refused.error is not None
    assert "install the same on all" in refused.error


@pytest.mark.processes
def test_no_cluster_there_is_told_in_one_sentence(file, tmp_path):
    with pytest.raises(UsageError, match="No Ray cluster answers at --ray nowhere"):
        sweep(str(file), tmp_path / "out", 1, Cluster("nowhere"))


def figures(root: Path) -> dict[str, object]:
    return {r.run.path.name: r.summary["goodput"] for r in SweepFolder.open(root).results()}
