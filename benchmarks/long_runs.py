"""A thousand sessions and more: what `marsbench run` costs in all, and what showing it costs.

    python -m benchmarks.long_runs

Each line is a command in a process of its own, with imports, times alone, the events on disk, and
the figures computed from them. Ten thousand sessions take most of the time: `--short` leaves them
out.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from marsbench.runs.event_file import EVENTS, open_events

ASKED = ("run", "--no-resident", "--backend", "fcfs", "--workload", "ilr-1", "--block-size", "64")
COLLAPSE, BELOW = "1.2", "0.4"
SCALE = (1_000, 3_000, 10_000)


class Cost(NamedTuple):
    """Of one command; its memory is the most that any command so far has had."""

    cpu_s: float
    wall_s: float
    rss_mb: float


def command(*words: str, cache: str) -> Cost:
    """`marsbench` with these words, on a machine that has kept no times alone."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    environment = {**os.environ, "XDG_CACHE_HOME": cache, "MARSBENCH_PROGRESS": "off"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each start compiles a hundred files
    subprocess.run(
        [sys.executable, "-m", "marsbench", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    wall_s = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu_s, wall_s, after.ru_maxrss / 1024)


def played(folder: Path, load: str, sessions: int) -> Cost:
    where = ("--load", load, "--sessions", str(sessions), "-o", str(folder))
    return command(*ASKED, *where, cache=f"{folder}-cache")


def events_in(folder: Path) -> int:
    with open_events(folder) as lines:
        return sum(1 for _ in lines)


def row(folder: Path, load: str, sessions: int, limits: str) -> str:
    cost, events = played(folder, load, sessions), events_in(folder)
    return (
        f"| {sessions:,} | {load} | {cost.cpu_s:.0f} | {cost.rss_mb:,.0f} | {limits} "
        f"| {events / 1e3:,.0f} | {1e6 * cost.cpu_s / events:.0f} |"
    )


def shown(folder: Path) -> tuple[Cost, Cost]:
    """While it is played, which is a run without what is written at its end; and afterwards."""
    after = command("show", str(folder), cache=str(folder))
    part = folder.with_name("part")
    part.mkdir()
    for name in ("run.json", "ideal.json"):
        shutil.copy(folder / name, part / name)
    with open_events(folder) as lines, (part / EVENTS).open("wb") as file:
        shutil.copyfileobj(lines, file)
    return command("show", str(part), cache=str(folder)), after


def report(scale: tuple[int, ...] = SCALE) -> None:
    """The whole table, in Markdown; smallest first, since memory is the most of all so far."""
    load = os.getloadavg()[0]
    print(f"Load of the machine at the start: {load:.1f}.\n")
    print("| sessions | load | CPU s | RSS MB | limits | thousand events | µs an event |")
    print("|--:|--:|--:|--:|---|--:|--:|")
    with tempfile.TemporaryDirectory() as home:
        thousand = Path(home) / "collapse"
        print(row(thousand, COLLAPSE, 1_000, "120 s, 700 MB"), flush=True)
        during, after = shown(thousand)
        for sessions in scale:
            limits = "3,000 MB" if sessions == max(SCALE) else "–"
            print(row(Path(home) / str(sessions), BELOW, sessions, limits), flush=True)
    print("\n| show of the first run | CPU s | wall s | limit, wall s |")
    print("|---|--:|--:|--:|")
    for name, cost, limit in (("while it is played", during, 3), ("afterwards", after, 1)):
        print(f"| {name} | {cost.cpu_s:.1f} | {cost.wall_s:.1f} | {limit} |")


if __name__ == "__main__":
    report(SCALE[:-1] if "--short" in sys.argv[1:] else SCALE)
