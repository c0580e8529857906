"""A check runs under its limits, sees what the agent did not, and leaves nothing running."""

from __future__ import annotations

from pathlib import Path

import pytest

from marsbench.patience import processes
from marsbench.tasks.check import check_task
from marsbench.tasks.commands import run_limited
from marsbench.tasks.task import Task, TaskCheck
from marsbench.tasks.workspace import make_workspace
from waits import until


def task(command: str, **check: object) -> Task:
    limits = TaskCheck.model_validate({"command": command, "time_s": 3600, **check})
    return Task(id="t", prompt="x", files={"a.txt": "a\n"}, check=limits)


def checked(tmp_path: Path, one: Task) -> str | None:
    return check_task(one, make_workspace(one, tmp_path / "repository")).reason


@pytest.mark.processes
def test_a_check_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    reason = checked(tmp_path, task("sleep 30", time_s=0.5))
    assert reason == "stopped at its time limit of 0.5 s"


@pytest.mark.processes
def test_a_check_that_takes_too_much_memory_fails(tmp_path: Path) -> None:
    hungry = "python3 -c 'x = bytearray(400 << 20)'"
    assert checked(tmp_path, task(hungry, memory_mb=200)) == "exit code 1"
    assert checked(tmp_path / "more", task(hungry, memory_mb=2000)) is None


@pytest.mark.processes
def test_what_a_command_left_in_the_background_ends_with_it(tmp_path: Path) -> None:
    ended = run_limited("sleep 61.25 & echo $!", tmp_path, 10, 1024)
    assert ended.code == 0
    left = int(ended.output)
    until(lambda: not [p for p in processes() if p.pid == left and not p.is_zombie])


def test_hidden_files_win_over_the_agents_and_stay_hidden(tmp_path: Path) -> None:
    one = task("grep -q ours a.txt", files={"a.txt": "ours\n"})
    workspace = make_workspace(one, tmp_path / "repository")
    assert check_task(one, workspace).passed
    assert (workspace / "a.txt").read_text() == "a\n"


def test_a_patch_that_does_not_apply_fails_the_check_with_gits_words(tmp_path: Path) -> None:
    reason = checked(tmp_path, task("true", patch="not a patch\n"))
    assert reason is not None
    assert reason.startswith("the check could not begin: git apply failed")
