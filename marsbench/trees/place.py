"""Where trees and verdicts are kept: the user's cache folder, which may be deleted at any time."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from marsbench.clock import unix
from marsbench.errors import MarsbenchError
from marsbench.outputs import cache_folder

Make = Callable[[Path], None]
"""Fills the folder that it is given, which keeps what an earlier try left there."""

UNUSED_S = 14 * 86_400
"""Copies of checkouts that nobody imported for two weeks go, when another is made."""


def cache() -> Path:
    """The folder, which may not be there yet."""
    return cache_folder("vllm")


def trees() -> Path:
    """One folder a tree; it holds the package and what is known of it."""
    return cache() / "trees"


def verdicts() -> Path:
    """One file for each hash of sources and each state of our own code."""
    return cache() / "verdicts"


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Two that want the same tree make it once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made(name: str, make: Make) -> Path:
    """The tree of that name, made where it is not there: whole, or not at all.

    Raises MarsbenchError where nothing can be kept.
    """
    folder = trees() / name
    try:
        with _turn(folder):
            if not folder.is_dir():
                part = folder.with_name(f"{name}.part")
                part.mkdir(exist_ok=True)
                make(part)
                part.rename(folder)
            folder.touch()
    except OSError as error:
        raise MarsbenchError(
            f"{trees()} cannot keep a vLLM ({error.strerror or error}); make room there, or name "
            "another folder with XDG_CACHE_HOME."
        ) from error
    return folder


def forget_unused(prefix: str) -> None:
    """Remove trees whose names begin so and that nobody asked for in a while."""
    oldest = unix() - UNUSED_S
    for folder in trees().glob(f"{prefix}*"):
        with suppress(OSError):
            if folder.is_dir() and folder.stat().st_mtime < oldest:
                shutil.rmtree(folder)
