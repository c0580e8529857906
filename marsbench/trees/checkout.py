"""A user's checkout, as it is now or as it was at a revision: its Python files, copied.

A copy, so that a sweep of hours imports what it began with while its user goes on editing. Nothing
is compiled; what is there of `.pyc` files comes along, by which the first import is quick.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from marsbench.errors import UsageError
from marsbench.outputs import unpack
from marsbench.trees import place
from marsbench.trees.git import git
from marsbench.trees.sources import PACKAGE, SCHEDULER, all_sources, content_hash, is_vllm
from marsbench.trees.tree import Tree, keep, read, version_in

COPIES = "copy-"
UNBUILT = '__version__ = "dev"\n__version_tuple__ = (0, 0, "dev")\n'
"""What vLLM falls back to without a `_version.py`, less its warning."""


def checkout(path: Path) -> Tree:
    """The vLLM in this folder, as it is now. Raises UsageError where there is none."""
    root = _root(path)
    commit, dirty = git_facts(root)
    content = content_hash(root, all_sources(root))
    name = f"{COPIES}{content[:24]}-{(commit or 'none')[:12]}"
    if not (place.trees() / name).is_dir():
        place.forget_unused(COPIES)

    def copy(into: Path) -> None:
        shutil.copytree(root / PACKAGE, into / PACKAGE, ignore=_not_python, dirs_exist_ok=True)
        _finish(into, root.name, commit, dirty)

    return _read(place.made(name, copy))


def revision(path: Path, rev: str) -> Tree:
    """The vLLM of a git checkout as it was then. Raises UsageError where there is none."""
    commit = git(path, "rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}")
    if commit is None:
        raise UsageError(
            f"{path} has no revision '{rev}' that git knows; give a branch, a tag or a commit of "
            "it, or the folder alone for its files as they are."
        )

    def export(into: Path) -> None:
        _export(path, commit, into)
        _finish(into, path.resolve().name, commit, False)

    return _read(place.made(f"commit-{commit[:24]}", export))


def git_facts(root: Path) -> tuple[str | None, bool | None]:
    """The commit of the checkout that tracks the package, and whether the package differs."""
    if git(root, "ls-files", "--error-unmatch", f"{PACKAGE}/{SCHEDULER}") is None:
        return None, None
    changed = git(root, "status", "--porcelain", "--", PACKAGE)
    return git(root, "rev-parse", "HEAD"), None if changed is None else bool(changed)


def _root(path: Path) -> Path:
    """The folder that holds the package: the one given, or the one above."""
    for folder in (path, path.resolve().parent):
        if is_vllm(folder):
            return folder.resolve()
    raise UsageError(
        f"{path} holds no vLLM ({PACKAGE}/{SCHEDULER} is not there); give the root of a checkout, "
        "one with a revision, as in PATH@main, or a release, as in 0.32.0."
    )


def _not_python(_folder: str, names: list[str]) -> list[str]:
    """What a folder has that is neither Python nor a folder, as its name says."""
    return [name for name in names if Path(name).suffix not in ("", ".py", ".pyc", ".typed")]


def _export(repository: Path, commit: str, into: Path) -> None:
    command = ["git", "-C", str(repository), "archive", "--format=tar", commit, PACKAGE]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise UsageError(
            f"{repository} has no {PACKAGE} at {commit[:12]}; give the root of a checkout of vLLM."
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        python = [m for m in archive if m.isfile() and m.name.endswith((".py", "py.typed"))]
        unpack(archive, into, python)


def _finish(into: Path, name: str, commit: str | None, dirty: bool | None) -> None:
    if not is_vllm(into):
        raise UsageError(f"{name} has no {PACKAGE}/{SCHEDULER} there; give a newer revision.")
    version = into / PACKAGE / "_version.py"
    if not version.is_file():
        version.write_text(UNBUILT)
    keep(into, name, version_in(into), commit, dirty)


def _read(folder: Path) -> Tree:
    tree = read(folder)
    assert tree is not None
    return tree
