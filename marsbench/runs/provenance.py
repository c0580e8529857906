"""What code a run was made with, and, apart from it, when and on what machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TypedDict

import marsbench
from marsbench.core.code import RUN, installed

PACKAGE = Path(marsbench.__file__).resolve().parent
"""Asked of the package and not of this file, which may move to another room."""
RECORDED = ("marsbench", "vllm", "numpy", "pyarrow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The versions in use (None where not installed) and the commit of marsbench's own checkout.

    commit and dirty are None where marsbench runs from no checkout of its own.
    """

    versions: dict[str, str | None] = field(default_factory=dict)
    commit: str | None = None
    dirty: bool | None = None

    @classmethod
    def here(cls) -> Provenance:
        """The code that is running now."""
        versions = {"python": platform.python_version(), **{n: installed(n) for n in RECORDED}}
        commit, dirty = _own_checkout(PACKAGE)
        return cls(versions=versions, commit=commit, dirty=dirty)

    @property
    def label(self) -> str:
        """A short name for the code: "3f2a91c", "3f2a91c-dirty", or "v0.1.0" off a checkout."""
        if self.commit is None:
            return f"v{self.versions.get('marsbench') or 'unknown'}"
        return self.commit[:7] + ("-dirty" if self.dirty else "")


@cache  # the code of a process is the one that it began with, however many runs it makes
def _own_checkout(package: Path) -> tuple[str | None, bool | None]:
    return _checkout(package)


def _checkout(package: Path) -> tuple[str | None, bool | None]:
    """The commit of the checkout that tracks the package, and whether its code has changed.

    An installed package often lies inside somebody else's checkout (a virtual environment in
    their project), whose commit says nothing about it: so the package must be tracked there.
    """
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None, None
    commit = _git(package, "rev-parse", "HEAD")
    root = package.parent
    # Only what can move a number makes a tree dirty: a note beside the code does not.
    changed = _git(root, "status", "--porcelain", "--", *RUN.pathspecs(root))
    return commit, None if commit is None or changed is None else bool(changed)


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, or None when there is no git, no checkout, or no answer in a minute."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


class Wall(TypedDict):
    """When a run took place (UTC, ISO 8601), for how long, on what machine, and how it ended."""

    started: str
    ended: str
    duration_s: float
    machine: str
    cpus: int | None
    outcome: str


def wall_now() -> datetime:
    """The time of day. No figure may depend on it: it goes to wall.json alone."""
    return datetime.now(UTC)


def wall(started: datetime, outcome: str) -> Wall:
    """The wall-clock facts of a run that ends now; names neither the host nor its paths."""
    ended = wall_now()
    return {
        "started": started.isoformat(),
        "ended": ended.isoformat(),
        "duration_s": (ended - started).total_seconds(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "outcome": outcome,
    }
