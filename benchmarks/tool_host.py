"""The tool host's model beside real processes that burn CPU.

    python -m benchmarks.tool_host

Pins itself to two cores, starts 1, 2, 4 and 8 single-threaded processes of known CPU-seconds at
once, and prints when each wave really ended beside what the model says. Not a test: on a busy
machine other work takes part of the cores, which the last column shows.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from marsbench.hardware.host import ToolHost

CONCURRENT = (1, 2, 4, 8)
TOLERANCE = 0.15

# Burns CPU until it has had the seconds asked of it, says so, and prints how long that took. It
# counts CPU time, not iterations, so that the machine's speed and frequency do not matter.
BURN = """
import sys, time
sys.stdin.readline()
start, cpu = time.perf_counter(), time.process_time()
while time.process_time() - cpu < float(sys.argv[1]):
    pass
print(time.perf_counter() - start)
"""


class Wave(NamedTuple):
    concurrent: int
    modelled: list[float]
    real: list[float]

    @property
    def error(self) -> float:
        """Of the mean end, relative."""
        return sum(self.modelled) / sum(self.real) - 1


def modelled(cpu_s: list[float], cores: int) -> list[float]:
    host = ToolHost(cores)
    for number, seconds in enumerate(cpu_s):
        host.start(number, seconds, 0.0, 0.0)
    ends: dict[Hashable, float] = {}
    while (end := host.next_end()) is not None:
        ends |= dict.fromkeys(host.pop_ended(end), end)
    return [ends[number] for number in range(len(cpu_s))]


def real(cpu_s: list[float]) -> list[float]:
    """Wall seconds of processes that start to burn at the same time."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-S", "-c", BURN, str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seconds in cpu_s
    ]
    time.sleep(0.3)  # until all of them have started
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [float(process.communicate()[0]) for process in processes]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--cpu-seconds", type=float, default=1.5, help="of a wave's longest call")
    args = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))[: args.cores]
    os.sched_setaffinity(0, cores)
    print(f"{len(cores)} cores; calls of {args.cpu_seconds / 2} and {args.cpu_seconds} CPU-seconds")
    print(
        "calls   modelled mean s (last)   real mean s (last)   error   others' share of the cores"
    )
    for wave in (measure(n, args.cpu_seconds, len(cores)) for n in CONCURRENT):
        show(wave, len(cores), args.cpu_seconds)


def measure(concurrent: int, cpu_s: float, cores: int) -> Wave:
    # Every second call is half as long, so that the number of busy calls changes as they end.
    asked = [cpu_s if number % 2 == 0 else cpu_s / 2 for number in range(concurrent)]
    return Wave(concurrent, modelled(asked, cores), real(asked))


def show(wave: Wave, cores: int, cpu_s: float) -> None:
    asked = sum(cpu_s if number % 2 == 0 else cpu_s / 2 for number in range(wave.concurrent))
    idle = 1 - asked / (cores * max(wave.real))
    # Fewer calls than this leave a core idle at the end of their own accord.
    others = f"{max(0.0, idle):.0%}" if wave.concurrent >= 2 * cores else "–"
    flag = "" if abs(wave.error) <= TOLERANCE else f"   more than {TOLERANCE:.0%}"
    print(
        f"{wave.concurrent:5}   {mean(wave.modelled):10.2f} ({max(wave.modelled):5.2f})"
        f"         {mean(wave.real):8.2f} ({max(wave.real):5.2f})   {wave.error:+6.1%}"
        f"   {others:>10}{flag}"
    )


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
