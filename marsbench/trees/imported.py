"""The vLLM of this process: the one that lies first on its path. A process imports one."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from marsbench.errors import UsageError
from marsbench.trees.sources import PACKAGE, is_vllm, sources_hash
from marsbench.trees.tree import Tree, read, version_in


def imported() -> Tree | None:
    """What is imported, or would be; None where there is no vLLM."""
    root = _root()
    return None if root is None or not is_vllm(root) else _facts(root)


def use(tree: Tree) -> None:
    """Import this one from now on, in child processes that take over the path too.

    Raises UsageError where another was imported already.
    """
    if tree.root == _root():
        return
    if PACKAGE in sys.modules:
        raise UsageError(
            f"This process has imported another vLLM than {tree.label} already, and a process "
            "imports one; play each in a process of its own, as `marsbench run --vllm` does."
        )
    sys.path.insert(0, str(tree.root))
    importlib.invalidate_caches()


def _root() -> Path | None:
    """Found without importing it."""
    try:
        spec = find_spec(PACKAGE)
    except (ImportError, ValueError):  # hidden on purpose, or half imported
        return None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent.parent


@cache  # the code of a process is the one that it began with
def _facts(root: Path) -> Tree:
    return read(root) or installed_in(root)


def installed_in(root: Path) -> Tree:
    """That of an environment: its version is the distribution's, as everywhere else."""
    try:
        name = version(PACKAGE)
    except PackageNotFoundError:
        name = version_in(root)
    return Tree(root=root, is_installed=True, name=name, version=name, sources=sources_hash(root))
