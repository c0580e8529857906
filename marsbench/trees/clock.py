"""The virtual clock inside vLLM's scheduler modules, and where a user's class is written.

vLLM stamps requests and events with the time, and schedulers of pull requests decide by it. In a
simulation that time has to be virtual: the name `time` of these modules, and the names of its
functions, stand for the clock of the run while it is played.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

OF_VLLM = ("vllm.v1.core", "vllm.v1.request")
SECONDS = ("time", "monotonic", "perf_counter")
READ = {getattr(time, name): name for base in SECONDS for name in (base, f"{base}_ns")}
"""The functions of `time` that read a clock, by what they are."""


class VirtualTime:
    """Stands for the module `time`: its clocks all tell virtual seconds since the start."""

    def __init__(self, now: Callable[[], float]) -> None:
        for name in SECONDS:
            setattr(self, name, now)
            setattr(self, f"{name}_ns", lambda: round(now() * 1e9))

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@contextmanager
def ticking(now: Callable[[], float], modules: Collection[str] = ()) -> Iterator[None]:
    """While a run is played: vLLM's scheduler modules and these read its clock.

    modules: names; what lies below them counts too.
    """
    virtual = VirtualTime(now)
    changed = list(_clocks((*OF_VLLM, *modules)))
    for module, name, real in changed:
        setattr(module, name, virtual if real is time else getattr(virtual, READ[real]))
    try:
        yield
    finally:
        for module, name, real in changed:
            setattr(module, name, real)


def _clocks(names: Collection[str]) -> Iterator[tuple[ModuleType, str, Any]]:
    """Every name in these modules that is `time` or reads one of its clocks."""
    for path, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and any(_is_in(path, name) for name in names):
            for name, value in list(vars(module).items()):
                if value is time or _reads(value):
                    yield module, name, value


def _reads(value: object) -> bool:
    return callable(value) and any(value is function for function in READ)


def _is_in(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name}.")
