"""A sweep can be stopped anywhere, and what fails stands alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from marsbench.errors import UsageError
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.progress import clock
from marsbench.judge.sweep.run import sweep
from marsbench.patience import processes
from sweep.fakes import fake_local, in_process, moody_local, plays, sweep_file
from waits import until

# What a script starts in the background ignores Ctrl-C, and a test may be that: so it is asked for.
DRIVER = """
import signal
import sys
from pathlib import Path
from marsbench.judge.sweep.run import sweep
from sweep.fakes import fake_local
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sweep(sys.argv[1], Path(sys.argv[2]), 2, fake_local)
"""


@pytest.fixture
def file(tmp_path):
    return str(sweep_file(tmp_path))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "out"


def test_each_cell_is_a_run_folder(file, root):
    report = sweep(file, root, 1, in_process)
    results = list(SweepFolder.open(root).results())
    assert (report.cells, report.played, report.failures) == (12, 12, ())
    assert len(results) == 12
    assert results[0].summary["backend"] == "fcfs"
    assert results[0].place["load"] == 0.5


def test_a_second_time_plays_nothing(file, root):
    sweep(file, root, 1, in_process)
    report = sweep(file, root, 1, in_process)
    assert report.played == 0
    assert len(plays(root)) == 12


def test_a_cell_of_other_inputs_is_played_again(file, root):
    sweep(file, root, 1, in_process)
    changed = root / "ilr-1_load0.5_h200_default_base_fcfs_seed1" / "cell.json"
    changed.write_text(json.dumps({**json.loads(changed.read_text()), "inputs": "old"}))
    assert sweep(file, root, 1, in_process).played == 1
    assert len(list(SweepFolder.open(root).results())) == 12


def test_a_cell_without_a_summary_is_played_again(file, root):
    sweep(file, root, 1, in_process)
    (root / "ilr-1_load0.5_h200_default_base_fcfs_seed1" / "summary.json").unlink()
    assert sweep(file, root, 1, in_process).played == 1


def test_cells_that_left_the_file_do_not_count(file, root, tmp_path):
    sweep(file, root, 1, in_process)
    text = sweep_file(tmp_path).read_text().replace("[0.5, 0.9]", "[0.5]")
    sweep(str(sweep_file(tmp_path, text)), root, 1, in_process)
    assert len(list(SweepFolder.open(root).results())) == 6


@pytest.mark.processes
def test_a_failing_cell_stops_no_other(file, root):
    report = sweep(file, root, 2, moody_local)
    why = dict(report.failures)
    assert len(why) == 4
    assert why["ilr-1_load0.5_h200_default_base_fcfs_seed1"] == "ValueError: no such thing"
    assert "exit code -9" in why["ilr-1_load0.5_h200_default_base_fcfs_seed2"]
    assert len(list(SweepFolder.open(root).results())) == 8
    kept = root / "failed" / "ilr-1_load0.5_h200_default_base_fcfs_seed1.txt"
    assert "Traceback" in kept.read_text()
    assert sweep(file, root, 1, in_process).failures == ()
    assert not kept.exists()


@pytest.mark.processes
def test_after_kill_9_nothing_is_redone_lost_or_counted_twice(file, root):
    with driver(file, root) as process:
        until(lambda: (len(complete(root)), len(plays(root))) == (3, 5), process)
        process.send_signal(signal.SIGKILL)
    until(lambda: nobody_in(process.pid))
    before = {path: path.stat().st_ino for path in complete(root)}
    assert len(plays(root)) == 5, "a worker went on without its parent"
    report = sweep(file, root, 2, fake_local)
    assert report.played == 12 - len(before)
    assert {path: path.stat().st_ino for path in before} == before
    assert len(list(SweepFolder.open(root).results())) == 12
    assert [path.name for path in (root / ".drafts").iterdir()] == ["lock"]


@pytest.mark.processes
def test_ctrl_c_stops_it_and_keeps_what_is_complete(file, root):
    with driver(file, root) as process:
        until(lambda: (len(complete(root)), len(plays(root))) == (3, 5), process)
        os.killpg(process.pid, signal.SIGINT)
        until(lambda: process.poll() is not None, process)
    assert process.returncode != 0
    until(lambda: nobody_in(process.pid))
    assert len(plays(root)) == 5
    assert len(complete(root)) == 3


@pytest.mark.processes
def test_two_sweeps_do_not_write_into_one_folder(file, root):
    with driver(file, root) as process:
        until(lambda: complete(root), process)
        with pytest.raises(UsageError, match="Another sweep"):
            sweep(file, root, 1, in_process)
        process.kill()


def test_a_folder_of_something_else_is_left_alone(file, root):
    root.mkdir()
    (root / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match="not the folder of a sweep"):
        sweep(file, root, 1, in_process)


def test_what_the_file_asks_for_is_checked_before_anything_is_played(root, tmp_path):
    file = sweep_file(tmp_path, 'backends = ["fcsf"]\nworkloads = ["ilr-1"]\n')
    with pytest.raises(UsageError, match=r"mine\.toml: .*Did you mean 'fcfs'"):
        sweep(str(file), root, 1, in_process)
    assert not root.exists()


@pytest.mark.parametrize(("seconds", "text"), [(9.4, "0:09"), (250, "4:10"), (3723, "1:02:03")])
def test_clock(seconds, text):
    assert clock(seconds) == text


def driver(file, root):
    """A sweep in a process group of its own; two workers play three cells and then no more."""
    environment = {**os.environ, "FAKE_PLAYS": "3", "PYTHONPATH": os.pathsep.join(sys.path)}
    script = root.parent / "driver.py"
    script.write_text(DRIVER)
    return subprocess.Popen(
        [sys.executable, script, file, root],
        env=environment,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )


def complete(root):
    return sorted(root.glob("ilr-1*"))


def nobody_in(group):
    return not [p for p in processes() if p.group == group and not p.is_zombie]
