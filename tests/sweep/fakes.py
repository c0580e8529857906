"""Workers that write small runs without a simulator."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.play import Order
from marsbench.judge.sweep.workers import Outcome, play_all
from marsbench.runs import RunConfig, RunFolder
from metrics.story import a_session, told

FILE = """
backends = ["fcfs", { name = "fcfs-cap", set = { cap = 2 } }]
seeds = [1, 2, 3]
[[workloads]]
name = "ilr-1"
loads = [0.5, 0.9]
"""


def sweep_file(folder: Path, text: str = FILE, name: str = "mine") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def plays(root: Path) -> list[str]:
    """The names of the cells that workers began, in that order, over all sweeps into this root."""
    log = root.parent / "plays.log"
    return log.read_text().split() if log.exists() else []


def fake_play(order: Order) -> None:
    """A run of two sessions; after FAKE_PLAYS of them one that never ends, to be killed in."""
    with (order.root.parent / "plays.log").open("a") as log:
        log.write(f"{order.cell.name}\n")
    number = plays(order.root).index(order.cell.name) + 1
    folder = SweepFolder(order.root)
    config = RunConfig(
        backend=order.cell.backend.name,
        params=dict(order.cell.backend.set),
        workload="ilr-1",
        workload_hash="91c2",
        total_blocks=100,
    )
    with RunFolder.create(folder.draft(order.cell.name), config) as run:
        for event in told(a_session("a", 0.0, 10.0), a_session("b", 5.0, 35.0)):
            run.emit(event)
        if number > int(os.environ.get("FAKE_PLAYS", number)):
            time.sleep(3600)
        run.save_ideal({"a": 10.0, "b": 10.0})
        run.finish()
    folder.keep(order.cell.name, order.cell.place, order.inputs)


def moody_play(order: Order) -> None:
    """Raises in one cell and is killed in another."""
    if order.cell.name.endswith("fcfs_seed1"):
        raise ValueError("no such thing")
    if order.cell.name.endswith("fcfs_seed2"):
        os.kill(os.getpid(), signal.SIGKILL)
    fake_play(order)


def fake_local(groups: Sequence[Sequence[Order]], jobs: int) -> Iterator[Outcome[Order]]:
    return play_all(groups, fake_play, jobs)


def moody_local(groups: Sequence[Sequence[Order]], jobs: int) -> Iterator[Outcome[Order]]:
    return play_all(groups, moody_play, jobs)


def in_process(groups: Sequence[Sequence[Order]], jobs: int) -> Iterator[Outcome[Order]]:
    """Played right here: for tests of what is not about processes."""
    for group in groups:
        for order in group:
            fake_play(order)
            yield Outcome(order)
