"""What KV in host memory costs the simulator: CPU seconds with it, of those without it.

    python -m benchmarks.host_memory

Runs with and without it are played in turn in one process, each as often, so that what else the
machine does slows both.
"""

from __future__ import annotations

import gc
import sys
import time
from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple

LIMIT = 2.0
REPEATS = 5


class Kind(NamedTuple):
    """One way to keep KV in host memory; None is none. limit: of CPU seconds without it."""

    name: str
    settings: dict[str, Any] | None
    limit: float | None = LIMIT


OFF = Kind("off", None, None)
KINDS = (
    OFF,
    Kind("eager, lru", {"size_gib": 44}),
    Kind("eager, arc", {"size_gib": 44, "eviction": "arc"}),
    Kind("threshold:2, lru", {"size_gib": 44, "store": "threshold:2"}),
    Kind("lazy, 200 GiB", {"size_gib": 200, "store": "lazy"}),
)


class Played(NamedTuple):
    cpu_s: float
    calls: int
    steps: int
    copied_blocks: int


def prepared(load: float, sessions: int) -> Any:
    """`ilr-1` at this load, with blocks of 64."""
    from marsbench.core.backends import choose
    from marsbench.core.settings import EngineSettings
    from marsbench.core.workload.knobs import Knobs
    from marsbench.hardware.profile import load_hardware
    from marsbench.runs.request import RunRequest
    from marsbench.runs.simulated import prepare

    request = RunRequest(
        choice=choose("fcfs", ()),
        knobs=Knobs(sessions=sessions, load=load),
        hardware=load_hardware(),
        settings=EngineSettings(block_size=64),
        show_progress=False,
    )
    return prepare(request)


def play(job: Any, settings: dict[str, Any] | None) -> Played:
    """The loop alone."""
    from marsbench.core.sim.simulation import Simulation
    from marsbench.offload.host_kv import HostKv

    config = job.sim_config(job.request.choice)
    host_kv = None if settings is None else HostKv(**settings)
    config = replace(config, settings=replace(config.settings, host_kv=host_kv))
    events: list[Any] = []
    simulation = Simulation(config, events.append)
    gc.collect()
    start = time.process_time()
    simulation.run(job.workload.sessions)
    cpu_s = time.process_time() - start
    copied = sum(e.blocks for e in events if e.kind in ("host_stored", "host_loaded"))
    counters = simulation.counters
    return Played(cpu_s, counters.schedule_calls, counters.steps, copied)


def report(load: float = 1.15, sessions: int = 40, kinds: tuple[Kind, ...] = KINDS) -> None:
    """The whole table, in Markdown."""
    job = prepared(load, sessions)
    runs = [[play(job, kind.settings) for kind in kinds] for _ in range(REPEATS)]
    print(
        f"fcfs, `ilr-1`, {sessions} sessions at load {load:g}, blocks of 64, {REPEATS} repeats:\n"
    )
    print("| KV in host memory | CPU s | of off | limit | steps | schedule calls | blocks copied |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for number, kind in enumerate(kinds):
        own = [row[number] for row in runs]
        cpu_s = " ".join(f"{run.cpu_s:.1f}" for run in own)
        times = median(row[number].cpu_s / row[0].cpu_s for row in runs)
        limit = "–" if kind.limit is None else f"{kind.limit:g}"
        last = own[-1]
        print(
            f"| {kind.name} | {cpu_s} | {times:.2f} | {limit} | {last.steps:,} | {last.calls:,} "
            f"| {last.copied_blocks:,} |",
            flush=True,
        )


if __name__ == "__main__":
    if "--long" in sys.argv[1:]:
        report(0.9, 200, KINDS[:4])
    else:
        report()
