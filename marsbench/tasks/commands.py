"""Runs the commands of tasks: in a process group of their own, under limits, in a plain setting."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from marsbench import clock

LIMITS = Path(__file__).with_name("limits.py")
TAIL = 2000  # characters of output that are kept
# The same repository and the same output on every machine, and nobody's own settings.
PLAIN = {
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "marsbench",
    "GIT_AUTHOR_EMAIL": "marsbench@localhost",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00+00:00",
    "GIT_COMMITTER_NAME": "marsbench",
    "GIT_COMMITTER_EMAIL": "marsbench@localhost",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00+00:00",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "NO_COLOR": "1",
    "TERM": "dumb",
}
# A make or a test run that started us must not reach into a task.
HIDDEN = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONPATH", "PYTEST_CURRENT_TEST", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. code: None when it was stopped at its time limit."""

    code: int | None
    seconds: float
    output: str


def plain_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of tasks: the machine's own, less what differs between users."""
    kept = {name: value for name, value in environ.items() if name not in HIDDEN}
    return kept | PLAIN


def run_limited(command: str, folder: Path, time_s: float, memory_mb: int) -> Ended:
    """Runs a shell command in the folder; when it ends, nothing that it started lives on."""
    began = clock.monotonic()
    arguments = [sys.executable, "-I", str(LIMITS), str(time_s), str(memory_mb), command]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603
            arguments,
            cwd=folder,
            env=plain_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        code = _wait(process, time_s)
        output.seek(0)
        text = output.read().decode(errors="replace")
    return Ended(code, clock.monotonic() - began, text[-TAIL:])


def _wait(process: subprocess.Popen[bytes], time_s: float) -> int | None:
    try:
        return process.wait(time_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        # The group outlives its first process when that left something in the background.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
