"""Hashes of what is computed before a run: workloads, step times, policies' functions.

`python -m machines.workloads` in `tests` prints them, on any machine and Python.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator

from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.make import make_workload
from marsbench.core.workload.recipe import load_recipe, recipe_names
from marsbench.hardware.catalog import load_gpus, load_models, load_profiles
from marsbench.hardware.memory import DoesNotFitError
from marsbench.hardware.profile import load_hardware
from marsbench.hardware.steptime import StepTime
from marsbench.show.workload_check import check
from marsbench_backends import exact
from marsbench_backends.parts.tooltimes import Exponential

ARRIVALS = ("poisson", "gamma:0.4", "gamma:3.5", "burst:4", "fixed", "closed:3")
SESSIONS, OF_BRANCHES = 24, 4
BATCHES = [
    (decodes, kv, prefills)
    for decodes in (0, 1, 3, 17, 64, 256)
    for kv in (decodes, 1_000 * decodes, 77_777 * decodes)
    for prefills in ((), ((8_192, 0),), ((100, 12_345), (3, 150_001)))
    if decodes or prefills
]


def hashes() -> dict[str, str]:
    """By name, 16 hexadecimal digits each."""
    return dict([*_workloads(), *_step_times(), _functions()])


def _workloads() -> Iterator[tuple[str, str]]:
    for name in recipe_names():
        recipe = load_recipe(name)
        if recipe.fan_out is not None:  # a session is a hundred; mixes and arrivals are the others'
            yield name, _made(name)
            continue
        for tools in recipe.tools.mixes:
            yield f"{name} {tools}", _made(name, tools=tools)
        for arrivals in ARRIVALS:
            yield f"{name} {arrivals}", _made(name, arrivals=arrivals)


def _made(name: str, **knobs: str) -> str:
    """Of the workload, and of the verdicts on it."""
    rate = None if knobs.get("arrivals", "").startswith("closed") else 0.07
    recipe = load_recipe(name)
    count = SESSIONS if recipe.fan_out is None else OF_BRANCHES
    workload = make_workload(recipe, Knobs(sessions=count, rate=rate, **knobs))  # type: ignore[arg-type]
    rows = [(row.label, row.low, row.high, row.ok) for row in check(workload, recipe)]
    return _digest(f"{workload.hash} {rows}")


def _step_times() -> Iterator[tuple[str, str]]:
    for model in load_models():
        for gpu in (*load_gpus(), *load_profiles()):
            try:
                hardware = load_hardware(model, gpu)
            except DoesNotFitError:  # a model that this card does not hold
                continue
            yield f"step times of {hardware.id}", _digest(_packed(_seconds(hardware.step_time)))


def _seconds(step_time: StepTime) -> Iterator[float]:
    for scaled in (step_time, step_time.with_scale(step=1.1, attention=0.9)):
        yield from (scaled.seconds(*batch) for batch in BATCHES)


def _functions() -> tuple[str, str]:
    """What policies ask: exp, log, powers, and the exponential distribution."""
    values = [0.001 + 0.0137 * n for n in range(50_000)]
    numbers = [
        *map(exact.log, values),
        *(exact.exp(-x) for x in values),
        *(exact.power(0.9372, n) for n in range(200)),
        *map(Exponential(3.3).cdf, values),
    ]
    return "functions of policies", _digest(_packed(numbers))


def _packed(numbers: Iterable[float]) -> str:
    return b"".join(struct.pack("<d", number) for number in numbers).hex()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


if __name__ == "__main__":
    print(json.dumps(hashes()))
