"""The shipped tasks: each fails its check as it comes, and passes it once it is solved."""

from __future__ import annotations

from pathlib import Path

import pytest

from marsbench.tasks.check import check_task
from marsbench.tasks.commands import run_limited
from marsbench.tasks.files import shipped_tasks
from marsbench.tasks.task import PlayerStep, Task
from marsbench.tasks.workspace import git, make_workspace

TASKS = {task.id: task for task in shipped_tasks()}


def solve(task: Task, workspace: Path) -> None:
    """What the player does, without an agent."""
    assert task.player is not None
    for step in task.player.steps:
        take(step, workspace)


def take(step: PlayerStep, workspace: Path) -> None:
    if step.run is not None:
        assert run_limited(step.run, workspace, 30, 1024).code == 0
        return
    path = workspace / str(step.path)
    if step.text is not None:
        assert not path.exists(), "the editor creates new files only"
        path.write_text(step.text)
        return
    text = path.read_text()
    assert text.count(str(step.old)) == 1, "the editor replaces what is there once"
    path.write_text(text.replace(str(step.old), step.new or ""))


def test_there_are_a_dozen_of_every_kind() -> None:
    assert len(TASKS) >= 12
    kinds = {task.kind for task in TASKS.values()}
    assert kinds == {"fix", "add", "search", "refactor", "slow-tests", "build"}


@pytest.mark.processes
@pytest.mark.parametrize("name", TASKS)
def test_a_task_fails_its_check_until_it_is_solved(name: str, tmp_path: Path) -> None:
    task = TASKS[name]
    workspace = make_workspace(task, tmp_path / "repository")
    assert not check_task(task, workspace).passed
    solve(task, workspace)
    done = check_task(task, workspace)
    assert done.passed, done.output


def test_a_workspace_is_the_same_everywhere(tmp_path: Path) -> None:
    task = TASKS["search-log"]
    first, second = (make_workspace(task, tmp_path / n) for n in ("one", "two"))
    assert git(first, "rev-parse", "HEAD") == git(second, "rev-parse", "HEAD")
    assert git(first, "status", "--porcelain") == ""
