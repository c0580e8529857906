"""The trees that are at hand, as rows."""

from __future__ import annotations

from collections.abc import Iterator

from marsbench.trees import place
from marsbench.trees.imported import imported
from marsbench.trees.tree import Tree, read


def at_hand() -> Iterator[Tree]:
    """The installed vLLM first, then what lies in the cache folder, by name."""
    own = imported()
    if own is not None:
        yield own
    for folder in sorted(place.trees().glob("*/tree.json")):
        tree = read(folder.parent)
        if tree is not None:
            yield tree


def kind_of(tree: Tree) -> str:
    """ "installed", "release", "revision" or "checkout"."""
    if tree.is_installed:
        return "installed"
    return {"commit": "revision", "copy": "checkout"}.get(tree.root.name.split("-")[0], "release")
