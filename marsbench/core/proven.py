"""Whether the shortcuts may be taken on the vLLM of this process."""

from __future__ import annotations

from functools import cache

from marsbench.core.code import BACKENDS, ROOT, CodeFiles
from marsbench.trees.imported import imported
from marsbench.trees.sources import content_hash
from marsbench.trees.tree import Tree
from marsbench.trees.verdicts import Proven, remember, verdict_on

OURS = CodeFiles(("marsbench/core/sim", "marsbench/shortcuts", BACKENDS), (f"{BACKENDS}/policies",))
"""What a verdict is of, beside vLLM's sources."""


@cache
def _ours() -> str:
    return content_hash(ROOT, OURS.files())


def verdict(tree: Tree | None) -> Proven | None:
    """What was found out about a vLLM under this state of our code; None: nothing yet.

    Of the pinned one the project's tests say it.
    """
    if tree is None or tree.is_pinned:
        return Proven(is_equal=True, worlds=0)
    return verdict_on(tree, _ours())


@cache  # a process imports one vLLM
def are_proven() -> bool:
    """Fast loops and macro steps are known to give the events of vLLM's own loops and steps."""
    found = verdict(imported())
    return found is not None and found.is_equal


def keep(verdict: Proven, tree: Tree | None = None) -> None:
    """Keep the verdict on a vLLM, or on this process's. Raises OSError."""
    tree = tree or imported()
    assert tree is not None
    remember(tree, _ours(), verdict)
