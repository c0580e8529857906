"""`marsbench setup`: what plays runs, into the environment that marsbench itself runs in."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

from marsbench.errors import UsageError
from marsbench.extras import base_requirements
from marsbench.setup.installer import (
    NO_PACKAGES,
    Installer,
    install_uv,
    requirements,
    say,
    warm_up,
)

NO_INSTALLER = (
    "This environment has neither pip nor uv, which would install vLLM's scheduler: type "
    f"`{sys.executable} -m ensurepip`, then `marsbench setup` once more."
)
NOT_IMPORTED = (
    "vLLM was installed and cannot be imported (see above): type `marsbench doctor`, or set it up "
    "in a new environment."
)


def set_up() -> None:
    """Installs vLLM's scheduler and all that it imports, without CUDA where there is no GPU.

    Raises UsageError where that cannot be had.
    """
    began = time.perf_counter()
    say(f"installing into {sys.prefix} (a minute or two, 3 GB)")
    python = Path(sys.executable)
    installer = Installer.of(uv(python), Path(sys.prefix), python if _has("pip") else None)
    installer.install_torch(has_gpu=shutil.which("nvidia-smi") is not None)
    for arguments in steps(requires("marsbench") or ()):
        installer.must(*arguments)
    say("importing vLLM's scheduler for the first time")
    if not warm_up(python):
        raise UsageError(NOT_IMPORTED)
    say(f"done in {time.perf_counter() - began:.0f} s; `marsbench run --backend fcfs` plays a run")


def uv(python: Path) -> tuple[str, ...]:
    """uv as a command: this environment's own, installed where pip can, else the user's."""
    if _has("uv") or (_has("pip") and install_uv(python)):
        return (str(python), "-m", "uv")
    found = shutil.which("uv")
    if found is None:
        raise UsageError(NO_PACKAGES if _has("pip") else NO_INSTALLER)
    return (found,)


def steps(declared: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """What uv is asked for, one after another, given what marsbench declares that it needs.

    What vLLM's scheduler imports and what marsbench needs come at the locked versions; vLLM itself
    without its own list, which brings CUDA.
    """
    folder = requirements()
    locked = ("-c", str(folder / "lock.txt"), "-r", str(folder / "vllm.in"))
    return (*locked, *base_requirements(declared)), ("--no-deps", "-r", str(folder / "vllm.txt"))


def _has(module: str) -> bool:
    return find_spec(module) is not None
