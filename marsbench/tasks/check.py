"""Whether a task was done: its check, in a copy of the workspace, under its limits."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from marsbench.errors import UsageError
from marsbench.tasks.commands import Ended, run_limited
from marsbench.tasks.task import Task
from marsbench.tasks.workspace import git, write_files


@dataclass(frozen=True, slots=True)
class CheckResult:
    """passed: the check's command exited with 0. reason: why not; output: its last lines."""

    passed: bool
    reason: str | None
    seconds: float | None
    output: str


def check_task(task: Task, workspace: Path) -> CheckResult:
    """Runs the task's check; the workspace itself stays as it is."""
    with tempfile.TemporaryDirectory(prefix="marsbench-check-") as folder:
        copy = Path(folder) / "repository"
        try:
            shutil.copytree(workspace, copy, symlinks=True)
            _add_hidden(task, copy)
        except (OSError, UsageError) as error:
            return CheckResult(False, f"the check could not begin: {error}", None, "")
        limits = task.check
        ended = run_limited(limits.command, copy, limits.time_s, limits.memory_mb)
    return CheckResult(ended.code == 0, _reason(task, ended), ended.seconds, ended.output)


def _add_hidden(task: Task, copy: Path) -> None:
    """What the agent did not see: the check's files win over what it wrote itself."""
    write_files(task.check.files, copy)
    if task.check.patch:
        patch = copy / ".git" / "marsbench-check.patch"
        patch.write_text(task.check.patch, encoding="utf-8")
        git(copy, "apply", "--whitespace=nowarn", str(patch))


def _reason(task: Task, ended: Ended) -> str | None:
    if ended.code == 0:
        return None
    if ended.code is None:
        return f"stopped at its time limit of {task.check.time_s:g} s"
    if ended.code < 0:
        return f"ended by signal {-ended.code}"
    return f"exit code {ended.code}"
