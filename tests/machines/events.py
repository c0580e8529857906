"""A hash of every event of short runs of every backend: `python -m machines.events` in `tests`.

No sum of floats may be taken by the built-in: from Python 3.12 on it carries the rounding along.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import sys
from collections.abc import Iterable
from typing import Any

from backends.world import simulate, world_of
from figures import summarise
from marsbench.core.events import Event
from marsbench.core.isolated import isolated
from marsbench.core.settings import EngineSettings
from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.make import make_workload
from marsbench.core.workload.recipe import load_recipe
from marsbench.hardware.profile import load_hardware
from marsbench_backends.registry import BACKENDS
from sim.test_offload import crowd, offloading, played, twins

OURS = ("marsbench", "marsbench_backends")
plain_sum = builtins.sum


def whole_sum(values: Iterable[Any], /, start: Any = 0) -> Any:
    """The built-in, for all but our own sums of floats."""
    values = [*values]
    caller = sys._getframe(1).f_globals.get("__name__", "")
    if caller.split(".")[0] in OURS and any(type(value) is float for value in values):
        raise AssertionError(f"{caller} takes the sum of floats; math.fsum is exact")
    return plain_sum(values, start)


def hashes() -> dict[str, str]:
    """By name, 16 hexadecimal digits of the SHA-256 of events, times alone and figures."""
    builtins.sum = whole_sum
    sessions = make_workload(load_recipe("ilr-1"), Knobs(sessions=3, rate=0.3)).sessions
    settings = EngineSettings(kv_blocks=14_000)
    alone = isolated(sessions, load_hardware(), settings)
    found = {"alone": _digest(repr(alone))}
    for backend in BACKENDS:
        found[backend] = _digest(_lines(simulate(backend, world_of(backend))[0]))
    for name, workload in ("crowd", crowd()), ("twins", twins("abcde")):
        found[f"host memory, {name}"] = _digest(_lines(played(workload, 200, offloading(14))[0]))
    for backend in ("continuum", "mars"):
        events, _ = simulate(backend, sessions, settings=settings)
        figures = summarise(events, ideal_s=alone.ideal_s, alphas=(3.0,))
        found[f"{backend}, ilr-1"] = _digest(_lines(events) + repr(figures))
    return found


def _lines(events: list[Event]) -> str:
    return "".join(event.to_json() for event in events)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


if __name__ == "__main__":
    print(json.dumps(hashes()))
