"""Installs the coding agents that npm has, Claude Code and Codex, at locked versions.

    .venv/bin/python tools/npm_agents.py

Instant where nothing has changed. They go into marsbench's cache folder, 660 MB, where clones share
them. Exit code 3: they cannot be had here, for want of npm or of a package.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import time
from pathlib import Path

from environment import REQUIREMENTS
from marsbench.outputs import cache_folder
from marsbench.setup.installer import say
from other_environment import not_to_be_had

LOCK = REQUIREMENTS / "npm-agents"
FILES = ("package.json", "package-lock.json")


def folder() -> Path:
    """Where these versions are, or would be."""
    digest = hashlib.sha256(b"\0".join((LOCK / name).read_bytes() for name in FILES))
    return cache_folder("npm-agents") / digest.hexdigest()[:16]


def agent(name: str) -> Path | None:
    """The command of an installed one, `claude` or `codex`; None where there is none."""
    found = folder() / "node_modules" / ".bin" / name
    return found if _done().exists() and found.exists() else None


def _done() -> Path:
    return folder() / "marsbench-setup-done"


def install(npm: str) -> None:
    """Makes the folder anew."""
    began = time.perf_counter()
    say("installing Claude Code and Codex (half a minute, 660 MB)")
    for name in FILES:
        shutil.copy(LOCK / name, folder())
    command = [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(command, cwd=folder(), check=False).returncode:
        not_to_be_had("npm could not install them: see the message above.")
    _done().touch()
    say(f"done in {time.perf_counter() - began:.0f} s: {folder()}")


def main() -> None:
    npm = shutil.which("npm")
    folder().mkdir(parents=True, exist_ok=True)
    with (folder() / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if _done().exists():
            return
        if npm is None:
            not_to_be_had("Claude Code and Codex need npm, and none was found: install Node.js.")
        install(npm)


if __name__ == "__main__":
    main()
