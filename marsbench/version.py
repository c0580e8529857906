"""The version of marsbench, and the commit where it runs from a checkout of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

__version__ = "0.1.0"

HERE = Path(__file__).resolve()


def label(file: Path = HERE) -> str:
    """ "0.1.0 (3f2a91c)", "0.1.0 (3f2a91c-dirty)", or "0.1.0" off a checkout.

    An installed package often lies inside somebody else's checkout, whose commit says nothing about
    it: so `file` must be tracked there.
    """
    if _git(file, "ls-files", "--error-unmatch", file.name) is None:
        return __version__
    commit = _git(file, "rev-parse", "--short=7", "HEAD")
    changed = _git(file, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{__version__} ({commit}{'-dirty' if changed else ''})" if commit else __version__


def _git(file: Path, *arguments: str) -> str | None:
    """What git prints beside the file; None when there is no git, no checkout, or no answer."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(file.parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
