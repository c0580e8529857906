"""The code that moves a number: its files in three parts, each with one hash.

Times alone that are kept between runs, the cells of a sweep, and a run's provenance all ask here,
so that what counts for one counts for the others. What reads results (tables, comparisons,
reports, charts) and what prints belongs to none.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Of the checkout, or where the packages are installed."""

BACKENDS = "marsbench_backends"
READ = (".py", ".json", ".toml")
PINNED = ("vllm", "numpy")
"""Whose version moves a number as much as our own code does."""


@dataclass(frozen=True)
class Code:
    """Folders and files, by their path from the packages' folder, without some places below."""

    places: tuple[str, ...]
    without: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """Of the files that this process runs and of the versions beside them."""
        return _hash(self)

    def hash_in(self, root: Path) -> str:
        """Of the files as they are below `root` now: their names, their bytes, the versions."""
        digest = hashlib.sha256(repr(versions()).encode())
        for file in self.files(root):
            content = file.read_bytes()
            digest.update(f"{file.relative_to(root).as_posix()} {len(content)}\n".encode())
            digest.update(content)
        return digest.hexdigest()

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


def _ours(*places: str) -> tuple[str, ...]:
    return tuple(f"marsbench/{place}" for place in places)


def _adapter(*names: str) -> tuple[str, ...]:
    return tuple(f"{BACKENDS}/{name}.py" for name in names)


# Show, draw, or measure a GPU whose numbers then come as a file.
_BESIDE_HARDWARE = _ours(*(f"hardware/{n}.py" for n in ("cli", "plot", "show", "vllm_calibrate")))

TIMES_ALONE = Code(
    (
        *_ours("session.py", "events.py", "workload/files.py", "hardware"),
        *_ours("engine/sim", "engine/entrance.py", "engine/isolated.py", "engine/settings.py"),
        *_adapter("admission_answers", "allowed", "answers", "contract", "quantities", "wrong"),
        *_adapter("admission", "cost", "decisions", "exact", "holds", "host_memory", "parameters"),
        *_adapter("fcfs", "policy", "record", "registry", "rounds", "scheduler", "session_table"),
        *_adapter("signals", "vllm_host", "vllm_queue", "vllm_server", "vllm_views", "watch"),
    ),
    _BESIDE_HARDWARE,
)
"""Decides how long a session takes alone, under vLLM's own scheduler: no policy's file."""

_OTHER_ENGINES = _ours("engine/live", "engine/openhands")
_BESIDE_WORKLOADS = _ours(
    *(f"workload/{name}.py" for name in ("check", "cli", "cli_shared", "plot", "show"))
)
_READING = (*_BESIDE_HARDWARE, *_BESIDE_WORKLOADS, *_ours("engine/listing.py"))

SIMULATION = Code(
    (
        *_ours("session.py", "events.py", "workload", "hardware", "engine", "metrics", "runs"),
        *_ours("sweep/inputs.py", "sweep/play.py", "sweep/scaling.py"),
        BACKENDS,
    ),
    (
        *_READING,
        *_OTHER_ENGINES,
        # Files of sessions, made before a run; recipes, whose content a cell counts itself.
        *_ours("workload/formats", "workload/recipes"),
    ),
)
"""Decides the result of a simulated run, whatever the backend."""

RUN = Code(
    (
        *SIMULATION.places,
        *_ours("gateway", "serve", "tasks", "replay", "clock.py"),
        "workloads",
    ),
    (*_READING, *_ours("gateway/cli.py", "serve/cli.py", "replay/cli.py")),
)
"""Decides the result of a run by any engine, and the shipped recipes."""


def versions() -> dict[str, str | None]:
    """Of Python, as far as it could move a number, and of what is pinned; None: not installed."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **{name: installed(name) for name in PINNED}}


def installed(name: str) -> str | None:
    """The version of an installed distribution."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@cache  # the code of a process is the one that it began with
def _hash(code: Code) -> str:
    return code.hash_in(ROOT)


def _path(root: Path, place: str) -> Path:
    """In a checkout the backends are one folder down; installed, they lie beside."""
    checkout = root / "backends"
    beside = place.partition("/")[0] == BACKENDS and (checkout / BACKENDS).is_dir()
    return (checkout if beside else root) / place


def _below(path: Path) -> Iterator[Path]:
    found = path.rglob("*") if path.is_dir() else [path]
    return (file for file in found if file.suffix in READ and file.is_file())
