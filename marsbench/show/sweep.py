"""A sweep while it runs: how many cells are over, which failed, and what is known so far.

Everything is read from the sweep's folder, so any terminal can watch, and a sweep that is not
watched is no slower.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from marsbench.core.metrics.percentiles import mean
from marsbench.judge.sweep.folder import CELL, DRAFTS, FAILED, SweepFolder
from marsbench.runs import RunFolder, RunSummary
from marsbench.text.console import drawn
from marsbench.text.numbers import percent
from marsbench.text.tables import Table

EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class State:
    """A sweep at one moment: names of its cells by what became of them."""

    name: str
    cells: tuple[str, ...]
    complete: tuple[str, ...]
    failed: tuple[str, ...]
    playing: tuple[str, ...]
    running: bool

    @property
    def line(self) -> str:
        """ "12 of 40 cells, 1 failed, 2 being played"."""
        parts = [f"{len(self.complete)} of {len(self.cells)} cells"]
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        parts += [f"{len(self.playing)} being played"] if self.playing else []
        over = len(self.complete) + len(self.failed) >= len(self.cells)
        parts += [] if self.running or over else ["not running"]
        return f"{self.name}: {', '.join(parts)}"


@dataclass(slots=True)
class Watched:
    """A sweep's folder, of which every complete cell is read once.

    found: for each complete cell its backend, as the sweep names it, with the replicas that it
        played on where there were several, and its summary.
    """

    folder: SweepFolder
    found: dict[str, tuple[str, RunSummary]] = field(default_factory=dict)

    def state(self) -> State:
        """What lies in the folder now."""
        root = self.folder.path
        # Asked first: a sweep that ends while we look has then written all that we see.
        running = is_running(root)
        plan = self.folder.plan()
        cells = tuple(plan["cells"])
        complete = tuple(name for name in cells if (root / name / CELL).is_file())
        for name in complete:
            if name not in self.found:
                place = json.loads((root / name / CELL).read_text(encoding="utf-8"))
                self.found[name] = (_label(place), RunFolder.open(root / name).summary())
        left = [name for name in cells if name not in complete]
        failed = tuple(name for name in left if (root / FAILED / f"{name}.txt").is_file())
        drafts = [name for name in left if (root / DRAFTS / name).is_dir()] if running else []
        return State(plan["name"], cells, complete, failed, tuple(drafts), running)

    def table(self) -> Table:
        """A row a backend: its complete cells, and their mean goodput for each α."""
        by_backend: dict[str, list[RunSummary]] = {}
        for backend, summary in self.found.values():
            by_backend.setdefault(backend, []).append(summary)
        alphas = sorted({a for _, s in self.found.values() for a in s["goodput"]}, key=float)
        steady = alphas if any(s["steady"] for _, s in self.found.values()) else []
        rows = [
            (backend, str(len(own)), *(_mean(_shares(own, alpha)) for alpha in alphas),
             *(_mean(_steady_shares(own, alpha)) for alpha in steady))
            for backend, own in sorted(by_backend.items())
        ]  # fmt: skip
        heads = [*(f"goodput({alpha})" for alpha in alphas), *(f"steady({a})" for a in steady)]
        return Table(("backend", "cells", *heads), rows, "LR")


def _label(place: Mapping[str, Any]) -> str:
    """ "mars"; "mars on 4 replicas behind dynamo"."""
    if "router" not in place:
        return str(place["backend"])
    return f"{place['backend']} on {place['replicas']} replicas behind {place['router']}"


def is_running(root: Path) -> bool:
    """Whether a sweep is writing into the folder: it holds a lock, which goes with its process."""
    try:
        with (root / DRAFTS / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def show_sweep(path: Path, console: Console) -> None:
    """Prints how far a sweep is, once. Raises UsageError when the path is none."""
    watched = Watched(SweepFolder.open(path))
    console.print(_screen(watched, watched.state()))


def watch(path: Path, console: Console, sleep: Callable[[float], None] = time.sleep) -> None:
    """Follows a sweep until nobody writes into it any more.

    On a terminal the screen is kept up to date; elsewhere a line is printed at every change, and
    the table at the end. Raises UsageError when the path is no sweep.
    """
    watched = Watched(SweepFolder.open(path))
    if not console.is_terminal:
        state = None
        for state in _changes(watched, sleep):
            console.print(escape(state.line), highlight=False)
        if watched.found:
            console.print(drawn(watched.table()))
        return
    with Live(console=console, refresh_per_second=4) as live:
        for state in _changes(watched, sleep):
            live.update(_screen(watched, state))


def _changes(watched: Watched, sleep: Callable[[float], None]) -> Iterator[State]:
    """The sweep's state, and again whenever it is another, until it has ended."""
    before = None
    while True:
        state = watched.state()
        if state.line != before:
            yield state
        if not state.running:
            return
        before = state.line
        sleep(EVERY_S)


def _screen(watched: Watched, state: State) -> Group:
    failed = [Text(f"failed: {name}", style="red") for name in state.failed]
    table = [drawn(watched.table())] if watched.found else []
    return Group(Text(state.line), *failed, *table)


def _shares(summaries: list[RunSummary], alpha: str) -> list[float | None]:
    return [s["goodput"][alpha]["share"] if alpha in s["goodput"] else None for s in summaries]


def _steady_shares(summaries: list[RunSummary], alpha: str) -> list[float | None]:
    """Of the cells that have a steady part."""
    parts = [s["steady"]["goodput"] for s in summaries if s["steady"] is not None]
    return [part[alpha]["share"] if alpha in part else None for part in parts]


def _mean(shares: list[float | None]) -> str:
    """Over all cells; of none where one does not know its share."""
    known = [share for share in shares if share is not None]
    return percent(mean(known) if len(known) == len(shares) else None, 1, " %")
