"""The code that moves a number: its files, with one hash.

Times alone that are kept between runs, the cells of a sweep, and a run's provenance all ask here,
so that what counts for one counts for the others. What reads results (tables, comparisons,
reports, charts) and what prints belongs to none.
"""

from __future__ import annotations

import hashlib
import inspect
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from marsbench.trees.imported import imported
from marsbench.trees.sources import content_hash

ROOT = Path(__file__).resolve().parents[2]
"""Of the checkout, or where the packages are installed."""

BACKENDS = "marsbench_backends"
READ = (".py", ".c", ".json", ".toml")
PINNED = ("vllm", "numpy")
"""Whose version moves a number as much as our own code does; of another vLLM, its sources."""


@dataclass(frozen=True)
class CodeFiles:
    """Folders and files, by their path from the packages' folder, without some places below."""

    places: tuple[str, ...]
    without: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """Of the files that this process runs and of the versions beside them."""
        return _hash(self)

    def hash_in(self, root: Path) -> str:
        """Of the files as they are below `root` now: their names, their bytes, the versions."""
        return content_hash(root, self.files(root), repr(versions()).encode())

    def files(self, root: Path = ROOT) -> list[Path]:
        """All that there are below `root`, in the order of their names."""
        left_out = [_path(root, place) for place in self.without]
        return sorted(
            file
            for place in self.places
            for file in _below(_path(root, place))
            if not any(file.is_relative_to(path) for path in left_out)
        )

    def pathspecs(self, root: Path) -> list[str]:
        """The same for git at `root`, which also knows of files that are gone."""
        kept, left_out = (
            [_path(root, place).relative_to(root).as_posix() for place in places]
            for places in (self.places, self.without)
        )
        return [*kept, *(f":(exclude){path}" for path in left_out)]


DECIDES = CodeFiles(
    (
        *(f"marsbench/{room}" for room in ("core", "hardware", "offload", "replicas")),
        *(f"marsbench/{room}" for room in ("runs", "shortcuts")),
        *("marsbench/trees/clock.py", BACKENDS),
    ),
    # A policy counts for its own runs; recipes, whose content a run counts itself.
    (f"{BACKENDS}/policies", "marsbench/core/workload/recipes"),
)
"""Decides every number of a simulated run, but for the policy's own file."""

RUN = CodeFiles(
    (
        *DECIDES.places,
        *(f"marsbench/{room}" for room in ("wall", "gateway", "serve", "model", "tasks")),
        *("marsbench/clock.py", "workloads"),
    ),
)
"""Decides the result of a run by any engine and backend, and the shipped recipes."""


def simulation_hash(*deciding: type) -> str:
    """Of the code that moves a number when a policy and a controller of these classes decide.

    It is of `core/`, `runs/`, the adapter, the files that the classes and their bases are
    written in, and the versions beside them: the key of times alone and of a sweep's cells.
    """
    own = [Path(inspect.getfile(c)) for given in deciding for c in given.__mro__ if c is not object]
    digest = hashlib.sha256(DECIDES.hash.encode())
    for file in dict.fromkeys(own):
        digest.update(_content(file))
    return digest.hexdigest()


@cache
def _content(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


def versions() -> dict[str, str | None]:
    """Of Python, as far as it could move a number, and of what is pinned; None: not installed."""
    python = ".".join(platform.python_version_tuple()[:2])
    tree = imported()
    vllm = {} if tree is None else {"vllm": tree.identity}
    return {"python": python, **{name: installed(name) for name in PINNED}, **vllm}


def installed(name: str) -> str | None:
    """The version of an installed distribution."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@cache  # the code of a process is the one that it began with
def _hash(code: CodeFiles) -> str:
    return code.hash_in(ROOT)


def _path(root: Path, place: str) -> Path:
    """In a checkout the backends are one folder down; installed, they lie beside."""
    checkout = root / "backends"
    beside = place.partition("/")[0] == BACKENDS and (checkout / BACKENDS).is_dir()
    return (checkout if beside else root) / place


def _below(path: Path) -> Iterator[Path]:
    found = path.rglob("*") if path.is_dir() else [path]
    return (file for file in found if file.suffix in READ and file.is_file())
