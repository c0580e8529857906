"""What code a run was made with, and, apart from it, when and on what machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypedDict

from marsbench.core.code import RUN, installed
from marsbench.trees.git import git
from marsbench.trees.imported import imported
from marsbench.trees.tree import PINNED


def _package() -> Path:
    """Asked by name and not from where this file lies, which may move to another room."""
    spec = find_spec("marsbench")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).resolve().parent


PACKAGE = _package()
RECORDED = ("marsbench", "vllm", "numpy", "pyarrow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The versions in use (None where not installed) and the commit of marsbench's own checkout.

    commit and dirty are None where marsbench runs from no checkout of its own.
    vllm: the one that was imported: version, commit and dirty of a checkout, the hash of its
        scheduler's sources, a label for people, and whether it is the one that marsbench is
        pinned to. None where there is none, and in folders of a marsbench that did not say. Of a
        server it is what that tells: its version, by which it is held for the pinned one.
    """

    versions: dict[str, str | None] = field(default_factory=dict)
    commit: str | None = None
    dirty: bool | None = None
    vllm: Mapping[str, Any] | None = None

    @classmethod
    def here(cls) -> Provenance:
        """The code that is running now."""
        versions = {"python": platform.python_version(), **{n: installed(n) for n in RECORDED}}
        commit, dirty = _own_checkout(PACKAGE)
        tree = imported()
        if tree is None:
            return cls(versions=versions, commit=commit, dirty=dirty)
        versions["vllm"] = tree.version
        vllm = {**tree.facts, "label": tree.label, "is_pinned": tree.is_pinned}
        return cls(versions=versions, commit=commit, dirty=dirty, vllm=vllm)

    def before(self, version: str | None) -> Provenance:
        """The same code before a server: the vLLM that decides is that one's.

        version: what it tells, which is all that it does; None where it is no vLLM or does not say.
        """
        vllm = None if version is None else _told(version)
        return replace(self, versions={**self.versions, "vllm": version}, vllm=vllm)

    @property
    def other_vllm(self) -> str | None:
        """The label of a vLLM that is not the pinned one: what a run is told apart by."""
        if self.vllm is None or self.vllm["is_pinned"]:
            return None
        return str(self.vllm["label"])

    @property
    def label(self) -> str:
        """A short name for the code: "3f2a91c", "3f2a91c-dirty", or "v0.1.0" off a checkout.

        Another vLLM than the pinned one is a part of it: "3f2a91c, vLLM 0.32.0".
        """
        other = "" if self.other_vllm is None else f", vLLM {self.other_vllm}"
        if self.commit is None:
            return f"v{self.versions.get('marsbench') or 'unknown'}{other}"
        return self.commit[:7] + ("-dirty" if self.dirty else "") + other


def _told(version: str) -> Mapping[str, Any]:
    unknown = dict.fromkeys(("commit", "dirty", "sources"))
    return {"version": version, **unknown, "label": version, "is_pinned": version in PINNED}


@cache  # the code of a process is the one that it began with, however many runs it makes
def _own_checkout(package: Path) -> tuple[str | None, bool | None]:
    return _checkout(package)


def _checkout(package: Path) -> tuple[str | None, bool | None]:
    """The commit of the checkout that tracks the package, and whether its code has changed.

    An installed package often lies inside somebody else's checkout (a virtual environment in
    their project), whose commit says nothing about it: so the package must be tracked there.
    """
    if git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None, None
    commit = git(package, "rev-parse", "HEAD")
    root = package.parent
    # Only what can move a number makes a tree dirty: a note beside the code does not.
    changed = git(root, "status", "--porcelain", "--", *RUN.pathspecs(root))
    return commit, None if commit is None or changed is None else bool(changed)


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
