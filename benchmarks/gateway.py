"""What the gateway adds to a stream: 500 at once on one core.

    python -m benchmarks.gateway

The gateway is pinned to one core; a trivial server and the driver share another. Each load is
driven at the server directly, then through the gateway. Where it may, it all runs at real-time
priority, or other work on the machine would be measured.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from benchmarks.streams import drive

LIMIT_MS = 5.0
TICKS = os.sysconf("SC_CLK_TCK")
# Everybody is let in, but the controller is asked and ticks as ever.
BACKEND = ("--backend", "mars", "--set", "window_init=9999", "--set", "window_max=9999")


class Load(NamedTuple):
    """So many streams at once, each with a prompt of so many token ids."""

    streams: int
    prompt_tokens: int
    seconds: float


LOADS = (Load(500, 500, 20.0), Load(50, 100_000, 20.0))


class Measured(NamedTuple):
    p50_ms: float
    p99_ms: float
    rounds: int
    rounds_per_s: float


@contextmanager
def undisturbed() -> Iterator[tuple[list[int], str]]:
    """This process on the last core, at real-time priority if it may: all cores, and how."""
    cores, how = sorted(os.sched_getaffinity(0)), "At real-time priority"
    os.sched_setaffinity(0, {cores[-1]})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    except PermissionError:
        how = "At normal priority"
    try:
        yield cores, how
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, cores)


@contextmanager
def pinned(core: int, *module: str) -> Iterator[tuple[int, str]]:
    """A process on that core: its id and the first word it prints."""
    process = subprocess.Popen([sys.executable, "-m", *module], stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, {core})
    try:
        assert process.stdout is not None
        yield process.pid, process.stdout.readline().split()[0]
    finally:
        process.terminate()
        process.communicate()


def cpu_s(pid: int) -> float:
    """CPU seconds that the process has used."""
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measured(port: int, load: Load) -> Measured:
    prompt = str(list(range(load.prompt_tokens))).encode()
    on_the_way_s, rate = asyncio.run(drive(port, load.streams, prompt, load.seconds))
    p50, p99 = 1e3 * np.quantile(on_the_way_s, (0.5, 0.99))
    return Measured(float(p50), float(p99), len(on_the_way_s), rate)


def main(_arguments: Sequence[str] | None = None) -> None:
    with undisturbed() as (cores, how), pinned(cores[-1], "benchmarks.streams") as (_, port):
        gateway = ("marsbench", "gateway", *BACKEND, "--port", "0", "--session-timeout", "1")
        upstream = ("--upstream", f"http://127.0.0.1:{port}")
        with pinned(cores[0], *gateway, *upstream) as (pid, url):
            print(f"{how}.\n")
            print(
                "| streams at once | prompt ids | rounds/s | on the way, P50 ms: direct, through, "
                "added | P99 ms: direct, through, added | gateway's CPU ms a round | busy | n |"
            )
            print("|--:|--:|--:|---|---|--:|--:|--:|")
            for load in LOADS:
                show(load, int(port), int(url.rpartition(":")[2]), pid)


def show(load: Load, port: int, through: int, pid: int) -> None:
    direct = measured(port, load)
    before, started = cpu_s(pid), os.times().elapsed
    via = measured(through, load)
    used, took = cpu_s(pid) - before, os.times().elapsed - started
    rounds = via.rounds_per_s * took  # the start of the lanes included, as in the CPU seconds
    added = via.p99_ms - direct.p99_ms
    flag = "" if added < LIMIT_MS else f" (limit {LIMIT_MS:g})"
    print(
        f"| {load.streams} | {load.prompt_tokens:,} | {via.rounds_per_s:.1f} "
        f"| {direct.p50_ms:.2f}, {via.p50_ms:.2f}, {via.p50_ms - direct.p50_ms:.2f} "
        f"| {direct.p99_ms:.2f}, {via.p99_ms:.2f}, {added:.2f}{flag} "
        f"| {1e3 * used / rounds:.1f} | {used / took:.0%} | {via.rounds:,} |"
    )


if __name__ == "__main__":
    main()
