"""A task's repository on disk: made from its files, or cloned; always a git repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from marsbench.errors import UsageError
from marsbench.tasks.commands import plain_environment, run_limited
from marsbench.tasks.task import Task

SETUP_S, SETUP_MB = 120, 2048
CLONE_S = 1800


def make_workspace(task: Task, folder: Path) -> Path:
    """Makes the task's repository in `folder`, which must not exist; returns it.

    Raises UsageError when a command of the task or git fails.
    """
    if task.repository is None:
        folder.mkdir(parents=True)
        write_files(task.files, folder)
        _set_up(task, folder)
        git(folder, "init", "--quiet", "--initial-branch=main")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message=start")
    else:
        folder.parent.mkdir(parents=True, exist_ok=True)
        git(folder.parent, "clone", "--quiet", "--no-checkout", task.repository, folder.name)
        git(folder, "checkout", "--quiet", "--detach", str(task.commit))
    return folder


def write_files(files: Mapping[str, str], folder: Path) -> None:
    """Writes texts by their path in the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _set_up(task: Task, folder: Path) -> None:
    if task.setup is None:
        return
    ended = run_limited(task.setup.command, folder, SETUP_S, SETUP_MB)
    if ended.code != 0:
        raise UsageError(
            f"Task '{task.id}': its setup command failed with {ended.code}: {ended.output[-300:]}"
        )


def git(folder: Path, *arguments: str) -> str:
    """What git prints. Raises UsageError with git's own words when it fails."""
    program = shutil.which("git")
    if program is None:
        raise UsageError("Tasks are git repositories, and there is no git here; install git.")
    done = subprocess.run(  # noqa: S603
        [program, *arguments],
        cwd=folder,
        env=plain_environment(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=CLONE_S,
        check=False,
    )
    if done.returncode:
        raise UsageError(f"git {arguments[0]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout
