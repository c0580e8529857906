"""The sources of a vLLM: which there are, and which decide what its scheduler does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

PACKAGE = "vllm"
SCHEDULER = "v1/core/sched/scheduler.py"

CONNECTORS = ("factory", "v1/base", "v1/offloading_connector", "v1/simple_cpu_offload_connector")
DECIDING = (
    *("v1/core", "v1/kv_offload", "v1/simple_kv_offload"),
    "distributed/kv_transfer/kv_connector/v1/offloading",
    *(f"distributed/kv_transfer/kv_connector/{name}.py" for name in CONNECTORS),
    *("v1/request.py", "v1/outputs.py", "v1/kv_cache_interface.py", "v1/engine/__init__.py"),
    *("v1/metrics/stats.py", "v1/structured_output/__init__.py", "v1/utils.py"),
    *("distributed/kv_events.py", "sampling_params.py", "utils/math_utils.py"),
    *("multimodal/utils.py", "v1/structured_output/request.py"),
    *("config/scheduler.py", "config/cache.py", "config/vllm.py"),
)
"""Below the package: all whose code runs while the simulator asks for a step."""


def is_vllm(root: Path) -> bool:
    """Whether the folder holds a vLLM that has the scheduler of its version 1."""
    return (root / PACKAGE / SCHEDULER).is_file()


def sources_hash(root: Path) -> str:
    """Of what decides: names and bytes of the files below `root`/vllm."""
    package = root / PACKAGE
    files = (file for place in DECIDING for file in _python(package / place))
    return content_hash(package, files)


def all_sources(root: Path) -> list[Path]:
    """Every Python file of the package, in the order of their names."""
    return sorted(_python(root / PACKAGE))


def content_hash(folder: Path, files: Iterable[Path], first: bytes = b"") -> str:
    """Of files below a folder: by name, so that the order in which they are found is none.

    first: what the hash is of before them.
    """
    digest = hashlib.sha256(first)
    for name, file in sorted((file.relative_to(folder).as_posix(), file) for file in files):
        content = file.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _python(path: Path) -> list[Path]:
    return [path] if path.is_file() else list(path.rglob("*.py"))
