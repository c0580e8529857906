"""What the base install leaves out: which module comes with which extra, and what to type.

with saying_what_is_missing():      # UsageError for a module of ours that is not installed
    play()

require("vllm")                     # the same before work that would find out too late
look_here_too()                     # before a user's own module is imported by its name
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from marsbench.errors import UsageError


class Extra(NamedTuple):
    """An extra of pyproject.toml: its name, what it brings, and what to type for it."""

    name: str
    brings: str
    cure: str


SIM = Extra(
    "sim",
    "vLLM",
    "`marsbench setup` (3 GB, no GPU needed; in a checkout `make setup`), or with its whole CUDA "
    "stack `pip install 'marsbench[sim]'` (10 GB)",
)
OPENHANDS = Extra(
    "openhands", "OpenHands", "`pip install 'marsbench[openhands]'`, in an environment without vLLM"
)
RAY = Extra("ray", "Ray", "`pip install 'marsbench[ray]'`")
WANDB = Extra("wandb", "wandb", "`pip install 'marsbench[wandb]'`")

EXTRAS = {"vllm": SIM, "torch": SIM, "openhands": OPENHANDS, "ray": RAY, "wandb": WANDB}
"""By module. What these need in turn is theirs to bring: without it their install is broken."""

IMPORTED_AS = {"pyzmq": "zmq"}
"""Modules of the base install that are not named like their distribution."""


@contextmanager
def saying_what_is_missing() -> Iterator[None]:
    """Raises UsageError in place of ModuleNotFoundError, where the module is of our base or extras.

    A module that is missing from a package that is there, as in another version of vLLM, is an
    error like any other.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        raise UsageError(sentence) from error


def _sentence(error: ModuleNotFoundError) -> str | None:
    module = (error.name or "").partition(".")[0]
    if not module or _is_there(module):
        return None
    extra = EXTRAS.get(module)
    if extra is not None:
        return _ask_for(module, extra)
    return _ask_for_base(module) if module in base_modules(_requirements()) else None


def require(module: str) -> None:
    """Raises UsageError, naming what to type, where a module of an extra is not installed."""
    if not _is_there(module):
        raise UsageError(_ask_for(module, EXTRAS[module]))


def missing_base_modules() -> frozenset[str]:
    """Those of the base install that are not there."""
    return frozenset(name for name in base_modules(_requirements()) if not _is_there(name))


def base_modules(requirements: Sequence[str]) -> frozenset[str]:
    """The modules of the requirements that no extra asks for."""
    base = base_requirements(requirements)
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in base]
    return frozenset(IMPORTED_AS.get(name, name.replace("-", "_")) for name in names)


def base_requirements(requirements: Sequence[str]) -> list[str]:
    """The requirements that no extra asks for."""
    return [line for line in requirements if "extra ==" not in line.partition(";")[2]]


def _requirements() -> Sequence[str]:
    try:
        return requires("marsbench") or ()
    except PackageNotFoundError:  # run from a folder, never installed
        return ()


def look_here_too() -> None:
    """Modules of the current folder can be imported, after everything that is installed."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # hidden on purpose, or half imported
        return False


def _ask_for(module: str, extra: Extra) -> str:
    return (
        f"This needs {extra.brings} (the module {module}), which the base install leaves out: "
        f"type {extra.cure}."
    )


def _ask_for_base(module: str) -> str:
    return (
        f"This needs the module {module}, which belongs to marsbench and is not installed: "
        "type `pip install marsbench` once more."
    )
