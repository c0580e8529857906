"""How long and how large a simulation is: the loop's CPU seconds, its memory, its scaling.

    python -m benchmarks.simulator [--replicas]

Each case runs in a process of its own, so that its memory is its own. The vLLM import (8-12 s of
CPU, 500 MB) is not part of the loop and is counted in the resident memory.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from marsbench.replicas.router import ReplicaView, RoundToPlace, Router

ROUNDS, OUTPUT = 15, 300
REPLICAS, REPLICAS_LIMIT = 8, 1.0
DEFAULT_RUN = ("run", "--backend", "mars", "--alpha", "3", "--json")


class Case(NamedTuple):
    """Sessions that grow from 100k to 240k tokens over so many KV blocks of that size."""

    name: str
    sessions: int
    blocks: int
    block_size: int
    limit_cpu_s: float | None = None
    host_gib: float | None = None


CASES = (
    Case("200 sessions, 1M blocks of 64", 200, 1_000_000, 64, 13),
    Case("200 sessions, 800k blocks of 16", 200, 800_000, 16, 36),
    Case("200 sessions, 50k blocks of 16 (thrashing)", 200, 50_000, 16, 32),
)
OFFLOADING = tuple(
    Case(name, 20, 50_000, 16, host_gib=gib)
    for name, gib in (("off", None), ("100 GiB, evicting", 100.0), ("600 GiB", 600.0))
)
SCALING = tuple(Case(f"{n} sessions", n, 4_000_000, 64) for n in (10, 100, 1_000))


@dataclass
class ByNumber(Router):
    """Session number n to replica n modulo 8, so that each has the same sessions as one alone."""

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        return int(ask.session[1:]) % len(replicas)


def growing(case: Case) -> list[Any]:
    """15 rounds from about 100k to 240k tokens, arrivals over 3 s a session, gaps of 2 to 40 s."""
    import numpy as np

    from marsbench.core.session import Round, Session, ToolCall

    rng = np.random.default_rng(0)
    sessions = []
    for number in range(case.sessions):
        first, arrival = (
            int(rng.integers(90_000, 110_000)),
            float(rng.uniform(0, 3 * case.sessions)),
        )
        gaps = rng.uniform(2, 40, ROUNDS)
        rounds = tuple(
            Round(10_000 - OUTPUT if i else first, OUTPUT, (ToolCall("tool", floor_s=float(gap)),))
            for i, gap in enumerate(gaps)
        )
        sessions.append(Session(f"s{number:04}", rounds, arrival))
    return sessions


def short(case: Case) -> list[Any]:
    """Three short rounds, one session in four seconds: as many at once, however many in all."""
    from marsbench.core.session import Round, Session, ToolCall

    rounds = (Round(4_000, 200, (ToolCall("tool", floor_s=5.0),)),) * 3
    return [Session(f"s{n:04}", rounds, 4.0 * n) for n in range(case.sessions)]


def measure(case: Case, sessions: list[Any]) -> dict[str, float]:
    """CPU seconds of the loop and what it did; in this process."""
    from marsbench.core.sim.simulation import Simulation

    simulation = Simulation(config_of(case), [].append)
    cpu_s = loop_s(simulation, sessions)
    counters = simulation.counters
    return {
        "cpu_s": cpu_s,
        "virtual_s": simulation.now,
        "steps": counters.steps,
        "calls": counters.schedule_calls,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def config_of(case: Case) -> Any:
    from marsbench.core.settings import EngineSettings
    from marsbench.core.sim.simulation import SimConfig
    from marsbench.hardware.profile import load_hardware
    from marsbench.offload.host_kv import HostKv

    host_kv = None if case.host_gib is None else HostKv(case.host_gib)
    settings = EngineSettings(kv_blocks=case.blocks, block_size=case.block_size, host_kv=host_kv)
    return SimConfig(load_hardware(), settings)


def loop_s(simulation: Any, sessions: list[Any]) -> float:
    """CPU seconds in which one engine, or several, play them."""
    gc.collect()
    gc.freeze()
    start = time.process_time()
    simulation.run(sessions)
    return time.process_time() - start


def in_replicas(case: Case, sessions: list[Any]) -> dict[str, float]:
    """The case's engine eight times behind a router, an eighth of the sessions on each.

    alone_cpu_s: of eight such engines one after the other, each with its share and nobody beside.
    one_cpu_s: of one such engine with all sessions.
    """
    from marsbench.core.sim.simulation import Simulation
    from marsbench.replicas.config import FleetConfig
    from marsbench.replicas.fleet import Fleet
    from marsbench.replicas.registry import RouterChoice

    config, alone_cpu_s, steps, calls = config_of(case), 0.0, 0, 0
    for share in (sessions[index::REPLICAS] for index in range(REPLICAS)):
        one = Simulation(config, [].append)
        alone_cpu_s += loop_s(one, share)
        steps, calls = steps + one.counters.steps, calls + one.counters.schedule_calls
    one = Simulation(config, [].append)
    one_cpu_s = loop_s(one, sessions)
    del one
    router = RouterChoice("by number", ByNumber, {})
    fleet = Fleet(config, FleetConfig(REPLICAS, router), [].append)
    cpu_s = loop_s(fleet, sessions)
    counters = [replica.engine.counters for replica in fleet.replicas]
    assert sum(one.steps for one in counters) == steps
    return {
        "cpu_s": cpu_s,
        "alone_cpu_s": alone_cpu_s,
        "one_cpu_s": one_cpu_s,
        "steps": steps,
        "alone_calls": calls,
        "calls": sum(one.schedule_calls for one in counters),
    }


def add_ms(tokens: int = 128_000) -> tuple[float, float]:
    """Milliseconds to add a round of that many tokens: a session's first, and a later one."""
    from marsbench.core.sim.vllm_core import make_request, make_scheduler
    from marsbench.core.session import Round, Session
    from marsbench.core.settings import EngineSettings
    from marsbench.core.sim.hashes import BlockWriters, SessionHashes
    from marsbench_backends.scheduler import SimScheduler

    scheduler = make_scheduler(SimScheduler, EngineSettings(), 100_000, 262_144)
    session = Session("s", (Round(tokens, 1), Round(300, 1)))
    hashes = SessionHashes(session, BlockWriters(), 16)
    times = []
    for prompt in session.prompts():
        start = time.perf_counter()
        block_hashes = hashes.upto(prompt.num_tokens)
        name = f"s#{prompt.round}"
        scheduler.add_request(make_request(name, "s", prompt.num_tokens, 1, block_hashes, 0.0, {}))
        times.append(1e3 * (time.perf_counter() - start))
    return times[0], times[1]


def alone(kind: str, case: Case) -> dict[str, float]:
    """`measure` in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.simulator", kind, json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def default_run(resident: str) -> list[float]:
    """Wall seconds of the README's run, twice on a machine that has seen none.

    resident: "on" or "off", for a process that imports vLLM once. Start-up and times alone count.
    """
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "XDG_CACHE_HOME": folder,
            "XDG_RUNTIME_DIR": folder,
            "MARSBENCH_RESIDENT": resident,
            "MARSBENCH_RESIDENT_MINUTES": "0.1",
        }
        for number in range(2):
            command = [sys.executable, "-m", "marsbench", *DEFAULT_RUN, "-o", f"{folder}/{number}"]
            start = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True, env=environment)
            seconds.append(time.perf_counter() - start)
    return seconds


def report() -> None:
    """The whole table, in Markdown."""
    print("| case | CPU s of the loop | limit | virtual s | steps | schedule calls | RSS MB |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for case in CASES:
        row = alone("growing", case)
        limit = "–" if case.limit_cpu_s is None else f"{case.limit_cpu_s:g}"
        print(
            f"| {case.name} | {row['cpu_s']:.1f} | {limit} | {row['virtual_s']:,.0f} "
            f"| {row['steps']:,.0f} | {row['calls']:,.0f} | {row['rss_mb']:,.0f} |",
            flush=True,
        )
    print("\n| 20 sessions, 50k blocks of 16, KV in host memory | CPU s of the loop | calls |")
    print("|---|--:|--:|")
    for case in OFFLOADING:
        row = alone("growing", case)
        print(f"| {case.name} | {row['cpu_s']:.1f} | {row['calls']:,.0f} |", flush=True)
    report_replicas()
    print("\n| scaling: three short rounds a session | µs a simulated step | µs a schedule call |")
    print("|---|--:|--:|")
    for case in SCALING:
        row = alone("short", case)
        step, call = (1e6 * row["cpu_s"] / row[n] for n in ("steps", "calls"))
        print(f"| {case.name} | {step:.0f} | {call:.0f} |", flush=True)
    first, later = add_ms()
    print(f"\nAdding a 128k-token round: {first:.1f} ms the first, {later:.1f} ms a later one.")
    print("\n| the default run, start-up included | first, wall s (limit 14) | second (limit 6) |")
    print("|---|--:|--:|")
    for name, resident in (("with a resident process", "on"), ("without", "off")):
        first_s, second_s = default_run(resident)
        print(f"| {name} | {first_s:.1f} | {second_s:.1f} |", flush=True)


def report_replicas() -> None:
    print(
        f"\n| {REPLICAS} replicas of 25 sessions each | CPU s, each alone | one with all sessions "
        "| behind a router | of each alone | of one | limit | steps | calls alone | calls |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for case in CASES:
        row = alone("replicas", case)
        print(
            f"| {case.name} | {row['alone_cpu_s']:.1f} | {row['one_cpu_s']:.1f} "
            f"| {row['cpu_s']:.1f} | {row['cpu_s'] / row['alone_cpu_s']:.2f} "
            f"| {row['cpu_s'] / row['one_cpu_s']:.2f} | {REPLICAS_LIMIT:g} | {row['steps']:,} "
            f"| {row['alone_calls']:,} | {row['calls']:,} |",
            flush=True,
        )


def main() -> None:
    if len(sys.argv) == 3:
        case = Case(*json.loads(sys.argv[2]))
        sessions = short(case) if sys.argv[1] == "short" else growing(case)
        play = in_replicas if sys.argv[1] == "replicas" else measure
        print(json.dumps(play(case, sessions)))
    elif "--replicas" in sys.argv[1:]:
        report_replicas()
    else:
        report()


if __name__ == "__main__":
    main()
