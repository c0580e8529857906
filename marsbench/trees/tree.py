"""What is known of one vLLM."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marsbench.outputs import save_text
from marsbench.trees.sources import PACKAGE, SCHEDULER, sources_hash

FACTS = "tree.json"
PINNED: Mapping[str, str] = {
    "0.33.0": "4b90400e51ea1f9ff0c749ac3e164aae23e1597a28e099dfdec37baee1f674c2",
}
"""By version: the sources whose shortcuts tests/sim compares with vLLM's own, every one."""

SHOWN = 7
_VERSION = re.compile(r"^__version__\s*=.*?['\"]([^'\"]+)['\"]", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One vLLM, and where it lies.

    root: the folder that holds the package. is_installed: it is the environment's own.
    name: what it was asked for by: a version, or the folder of a checkout.
    version: as it tells itself; "dev" of a checkout that was never built.
    commit, dirty: of a checkout; dirty where its package differs from the commit.
    sources: the hash of what decides what its scheduler does.
    """

    root: Path
    is_installed: bool = False
    name: str
    version: str
    commit: str | None = None
    dirty: bool | None = None
    sources: str

    @property
    def label(self) -> str:
        """ "0.32.0", "1a2b3c4", "1a2b3c4-dirty, sources 5d6e7f8"."""
        short = f"sources {self.sources[:SHOWN]}"
        if self.commit is None:
            version = "" if self.version == "dev" else f"{self.version}, "
            return self.version if self._is_as_published else f"{version}{short}"
        return f"{self.commit[:SHOWN]}-dirty, {short}" if self.dirty else self.commit[:SHOWN]

    @property
    def _is_as_published(self) -> bool:
        """A folder outside of git may be any edit of the version that it tells."""
        is_release = self.name == self.version != "dev"
        return is_release and PINNED.get(self.version, self.sources) == self.sources

    @property
    def is_pinned(self) -> bool:
        """Whether the tests of this marsbench are of these sources."""
        return self.sources in PINNED.values()

    @property
    def identity(self) -> str:
        """Two trees alike in it decide alike. Of the pinned one it is the version."""
        return self.version if self.is_pinned else f"{self.version}+{self.sources[:24]}"

    @property
    def facts(self) -> dict[str, Any]:
        """As a run tells of it: no path of a machine."""
        own = {"version": self.version, "commit": self.commit, "dirty": self.dirty}
        return {**own, "sources": self.sources}

    def scheduler(self) -> str:
        """The text of its scheduler."""
        return (self.root / PACKAGE / SCHEDULER).read_text("utf-8")


def keep(root: Path, name: str, version: str, commit: str | None, dirty: bool | None) -> None:
    """Write down what is known of the vLLM in this folder."""
    told = {"name": name, "version": version, "commit": commit, "dirty": dirty}
    save_text(root / FACTS, json.dumps({**told, "sources": sources_hash(root)}, indent=2) + "\n")


def read(root: Path) -> Tree | None:
    """What was written down; None where nothing was."""
    try:
        facts: Mapping[str, Any] = json.loads((root / FACTS).read_text("utf-8"))
        return Tree(root=root, **facts)
    except (OSError, ValueError, TypeError):
        return None


def version_in(root: Path) -> str:
    """What the package would tell as its version; "dev" where it was never built."""
    try:
        text = (root / PACKAGE / "_version.py").read_text("utf-8")
    except OSError:
        return "dev"
    found = _VERSION.search(text)
    return "dev" if found is None else found[1]
