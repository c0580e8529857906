"""VERSION|PATH|PATH@REV, as it is typed after --vllm."""

from __future__ import annotations

from pathlib import Path

from marsbench.errors import UsageError
from marsbench.trees.checkout import checkout, revision
from marsbench.trees.git import git
from marsbench.trees.imported import imported, use
from marsbench.trees.release import from_wheel, release_in, released
from marsbench.trees.tree import Tree, read


def tree_of(text: str) -> Tree:
    """The vLLM that is meant, made where it is not at hand.

    A folder wins over a version of its name. Raises UsageError for what is none of these.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        return read(path) or checkout(path)
    if path.suffix == ".whl" and path.is_file():
        return from_wheel(path)
    before, at, rev = text.rpartition("@")
    if at and Path(before).expanduser().is_dir():
        return revision(Path(before).expanduser(), rev)
    version = release_in(text)
    if version is None:
        raise UsageError(
            f"--vllm '{text}' is neither a release (0.32.0, latest), nor a folder or wheel that "
            "is there, nor a revision of a folder (PATH@REV)."
        )
    return _installed(version) or released(version)


def pair_of(baseline: str, candidate: str) -> tuple[Tree, Tree]:
    """Two to be compared. The baseline may be a revision of the candidate's checkout, as "main".

    Raises UsageError.
    """
    checkout = Path(candidate).expanduser()
    is_rev = git(checkout, "rev-parse", "--verify", "--quiet", f"{baseline}^{{commit}}")
    if checkout.is_dir() and is_rev is not None and not Path(baseline).expanduser().exists():
        return revision(checkout, baseline), tree_of(candidate)
    return tree_of(baseline), tree_of(candidate)


def typed(tree: Tree) -> str:
    """What --vllm takes for this very tree, on this machine."""
    return tree.name if tree.is_installed else str(tree.root)


def import_asked(text: str | None) -> None:
    """From now on this process imports what was asked for; None: the installed one."""
    if text is not None:
        use(tree_of(text))


def _installed(version: str) -> Tree | None:
    """The environment's own needs no download, where it is the release unchanged."""
    tree = imported()
    if tree is None or not tree.is_installed or tree.version != version:
        return None
    return tree if tree.is_pinned else None
