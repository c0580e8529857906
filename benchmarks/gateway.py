"""What the gateway adds to a stream: 500 at once on one core.

    python -m benchmarks.gateway

The gateway is pinned to one core; a trivial server and the driver share another. Each load is
driven at the server directly, then through the gateway, REPEATS times over. Where it may, it all
runs at real-time priority, or other work on the machine would be measured. What a hypervisor
takes of the cores meanwhile (steal) no priority brings back: it stands beside each repeat.
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
REPEATS = 7
TICKS = os.sysconf("SC_CLK_TCK")
# Everybody is let in, but the controller is asked and ticks as ever.
BACKEND = ("--backend", "mars", "--set", "window_init=9999", "--set", "window_max=9999")


class Load(NamedTuple):
    """So many streams at once, each with a prompt of so many token ids."""

    streams: int
    prompt_tokens: int
    seconds: float


LOADS = (Load(500, 500, 15.0), Load(50, 100_000, 15.0))


class Driven(NamedTuple):
    """One load, driven once. on_the_way_ms: the median and the 99th percentile."""

    on_the_way_ms: np.ndarray
    rounds_per_s: float


class Repeat(NamedTuple):
    """The same load at the server and through the gateway, one right after the other.

    gateway_s: CPU seconds of the gateway. took_s: wall seconds through it, its start included.
    stolen_ms: what both took of all cores together that this machine was not given.
    """

    direct: Driven
    through: Driven
    gateway_s: float
    took_s: float
    stolen_ms: float

    @property
    def added_ms(self) -> np.ndarray:
        return self.through.on_the_way_ms - self.direct.on_the_way_ms

    @property
    def round_ms(self) -> float:
        """CPU milliseconds of the gateway for a round."""
        return 1e3 * self.gateway_s / (self.through.rounds_per_s * self.took_s)


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


def stolen_s() -> float:
    """Seconds so far that the machine's cores wanted to work and were not given."""
    with open("/proc/stat") as file:  # noqa: PTH123
        return int(file.readline().split()[8]) / TICKS


def driven(port: int, load: Load) -> Driven:
    prompt = str(list(range(load.prompt_tokens))).encode()
    on_the_way_s, rate = asyncio.run(drive(port, load.streams, prompt, load.seconds))
    return Driven(1e3 * np.quantile(on_the_way_s, (0.5, 0.99)), rate)


def repeat(load: Load, port: int, through: int, pid: int) -> Repeat:
    stolen = stolen_s()
    direct = driven(port, load)
    used, started = cpu_s(pid), os.times().elapsed
    via = driven(through, load)
    used, took = cpu_s(pid) - used, os.times().elapsed - started
    return Repeat(direct, via, used, took, 1e3 * (stolen_s() - stolen))


def main(_arguments: Sequence[str] | None = None) -> None:
    with undisturbed() as (cores, how), pinned(cores[-1], "benchmarks.streams") as (_, port):
        gateway = ("marsbench", "gateway", *BACKEND, "--port", "0", "--session-timeout", "1")
        upstream = ("--upstream", f"http://127.0.0.1:{port}")
        with pinned(cores[0], *gateway, *upstream) as (pid, url):
            print(f"{how}; medians of {REPEATS} repeats.\n")
            print(
                "| streams at once | prompt ids | rounds/s | on the way, P50 ms: direct, through, "
                "added | P99 ms: direct, through, added | P99 added, stolen ms of each repeat "
                "| gateway's CPU ms a round | busy |"
            )
            print("|--:|--:|--:|---|---|---|--:|--:|")
            for load in LOADS:
                ports = int(port), int(url.rpartition(":")[2])
                print(row(load, [repeat(load, *ports, pid) for _ in range(REPEATS)]), flush=True)


def row(load: Load, repeats: Sequence[Repeat]) -> str:
    direct = np.median([r.direct.on_the_way_ms for r in repeats], axis=0)
    through = np.median([r.through.on_the_way_ms for r in repeats], axis=0)
    added = np.median([r.added_ms for r in repeats], axis=0)
    by_added = sorted(repeats, key=lambda r: r.added_ms[1])
    each = "; ".join(f"{r.added_ms[1]:.1f}, {r.stolen_ms:.0f}" for r in by_added)
    flag = "" if added[1] < LIMIT_MS else f" (limit {LIMIT_MS:g})"
    return (
        f"| {load.streams} | {load.prompt_tokens:,} "
        f"| {np.median([r.through.rounds_per_s for r in repeats]):.1f} "
        f"| {direct[0]:.2f}, {through[0]:.2f}, {added[0]:.2f} "
        f"| {direct[1]:.2f}, {through[1]:.2f}, {added[1]:.2f}{flag} | {each} "
        f"| {np.median([r.round_ms for r in repeats]):.1f} "
        f"| {np.median([r.gateway_s / r.took_s for r in repeats]):.0%} |"
    )


if __name__ == "__main__":
    main()
