"""What replicas cost the simulator: CPU seconds of N behind a router, of N runs of one.

    python -m benchmarks.replicas [--long | --commands]

`ilr-1` under fcfs at load 0.9 of each, blocks of 64. What each replica got behind
`session-affinity` is also played as a run of its own, so that both do the same work; other routers
move sessions, which is other work. The loop alone, events kept, all in one process. `--commands`
has whole commands instead, as a user types them, each in a process of its own.
"""

from __future__ import annotations

import gc
import math
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.long_runs import ASKED, Cost, command

LIMIT = 1.0
LOAD = 0.9
SHORT = (4, 30, ("llm-d", "dynamo", "clairvoyant"))
STAYS = "session-affinity"
"""The router behind which a replica's sessions are those of a run of their own."""
Emit = Callable[[Any], None]


class Played(NamedTuple):
    cpu_s: float
    calls: int
    steps: int
    events: list[Any]


def request_of(sessions: int, **knobs: float) -> Any:
    """So many sessions of `ilr-1`, at a load or a rate."""
    from marsbench.core.backends import choose
    from marsbench.core.settings import EngineSettings
    from marsbench.core.workload.knobs import Knobs
    from marsbench.hardware.profile import load_hardware
    from marsbench.runs.request import RunRequest

    return RunRequest(
        choice=choose("fcfs", ()),
        knobs=Knobs(sessions=sessions, **knobs),
        hardware=load_hardware(),
        settings=EngineSettings(block_size=64),
        show_progress=False,
    )


def job_of(request: Any) -> Any:
    """With its workload and no times alone, which a loop needs none of."""
    from marsbench.core.isolated import Isolated
    from marsbench.runs.job import resolve_workload
    from marsbench.runs.simulated import Job

    return Job(request, resolve_workload(request), Isolated({}, 0.0))


def play(job: Any, engine_of: Callable[[Any, Emit], Any], sessions: Sequence[Any]) -> Played:
    """The loop alone."""
    kept: list[Any] = []
    engine = engine_of(job.sim_config(job.request.choice), kept.append)
    gc.collect()
    start = time.process_time()
    engine.run(sessions)
    cpu_s = time.process_time() - start
    each = [r.engine.counters for r in getattr(engine, "replicas", ())] or [engine.counters]
    calls, steps = (sum(getattr(c, name) for c in each) for name in ("schedule_calls", "steps"))
    return Played(cpu_s, calls, steps, kept)


def behind(job: Any, num: int, router: str) -> Played:
    """So many replicas behind a router."""
    from marsbench.replicas.config import FleetConfig
    from marsbench.replicas.fleet import Fleet
    from marsbench.replicas.registry import choose_router

    fleet = FleetConfig(num, choose_router(router))
    sessions = job.workload.sessions
    return play(job, lambda config, emit: Fleet(config, fleet, emit, 1), sessions)


def alone(job: Any, num: int, at: Mapping[str, int]) -> Played:
    """Every replica's sessions on an engine of their own, at the times at which they came."""
    from marsbench.core.sim.simulation import Simulation

    groups = [[s for s in job.workload.sessions if at[s.id] == n] for n in range(num)]
    runs = [play(job, Simulation, own) for own in groups if own]
    return Played(*(sum(run[field] for run in runs) for field in range(3)), [])


def report(num: int, sessions: int, others: Sequence[str]) -> None:
    """The whole table, in Markdown."""
    from marsbench.runs.job import resolve_workload

    rate = resolve_workload(request_of(sessions, load=LOAD)).meta["rate"]
    job = job_of(request_of(sessions * num, rate=rate * num))
    stays = behind(job, num, STAYS)
    at = {e.session: e.replica for e in stays.events if e.kind == "placed"}
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    single = alone(job, num, at)
    print(f"fcfs, `ilr-1` at load {LOAD:g} of each, {num} replicas, {sessions} sessions each:\n")
    print("| router | CPU s | of as many runs | limit | steps | calls | RSS MB |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    print(f"| (as many runs) | {single.cpu_s:.1f} | 1 | | {single.steps:,} | {single.calls:,} | |")
    print(_row(STAYS, stays, single, size), flush=True)
    for router in others:
        own = behind(job, num, router)
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(_row(router, own, single, size), flush=True)


def _row(router: str, own: Played, single: Played, size: float) -> str:
    limit = LIMIT if router == STAYS else "–"
    return (
        f"| `{router}` | {own.cpu_s:.1f} | {own.cpu_s / single.cpu_s:.2f} | {limit} "
        f"| {own.steps:,} | {own.calls:,} | {size:,.0f} |"
    )


def report_commands(num: int, each: Sequence[int]) -> None:
    """One `marsbench run` of them all, and one of each engine by itself, in Markdown."""
    print("| sessions each | runs of one, CPU s | replicas, CPU s | of it | limit | MB | MB |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for sessions in each:
        with tempfile.TemporaryDirectory() as home:
            singles = [_typed(Path(home), 1, sessions, seed) for seed in range(1, num + 1)]
            whole = _typed(Path(home), num, sessions, 0)
        alone_s = math.fsum(one.cpu_s for one in singles)
        print(
            f"| {sessions} | {alone_s:.0f} | {whole.cpu_s:.0f} | {whole.cpu_s / alone_s:.2f} "
            f"| {LIMIT} | {singles[-1].rss_mb:,.0f} | {whole.rss_mb:,.0f} |",
            flush=True,
        )


def _typed(home: Path, num: int, sessions: int, seed: int) -> Cost:
    """So many sessions an engine, at the load of each; nothing is kept from another command."""
    several = ("--replicas", str(num), "--router", STAYS) if num > 1 else ()
    knobs = {
        "sessions": sessions * num,
        "load": LOAD * num,
        "seed": seed,
        "output": home / f"{seed}",
    }
    words = [word for name, value in knobs.items() for word in (f"--{name}", str(value))]
    return command(*ASKED, *several, *words, cache=str(home / f"cache{seed}"))


if __name__ == "__main__":
    if "--commands" in sys.argv[1:]:
        report_commands(16, (25, 400))
    elif "--long" in sys.argv[1:]:
        report(16, 400, ())
    else:
        report(*SHORT)
