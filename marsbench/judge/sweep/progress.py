"""How far a sweep is and when it will end, on stderr: a bar for people, lines for logs.

A log gets a line every ten seconds too, since a cell can take minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from marsbench.runs.provenance import wall_now
from marsbench.text.progress import PlainLines

LINES = 20
"""How many lines a log gets, however many cells there are."""

Report = Callable[[str, bool], None]
"""Told of each cell that is over: its name, and whether it failed."""


@contextmanager
def sweep_progress(total: int) -> Iterator[Report]:
    """A report of `total` cells that are still to be played."""
    from rich.console import Console

    console = Console(stderr=True)
    watch = Watch(total, wall_now())
    if not console.is_terminal:
        lines = PlainLines("cells", total, sys.stderr)

        def tell(_name: str, failed: bool) -> None:
            _line(console.print, watch, failed)
            lines.done = watch.done

        with lines.going():
            yield tell
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    text = TextColumn("{task.description}", markup=False)
    with Progress(text, BarColumn(), MofNCompleteColumn(), console=console) as bar:
        task = bar.add_task("the simulator starts", total=total)

        def report(name: str, failed: bool) -> None:
            watch.count(failed)
            bar.update(task, completed=watch.done, description=watch.left(wall_now()))

        yield report


class Watch:
    """Counts cells and estimates the time that the others will take."""

    def __init__(self, total: int, started: datetime) -> None:
        self.total, self.done, self.failed = total, 0, 0
        self._started = started

    def count(self, failed: bool) -> None:
        """A cell is over."""
        self.done += 1
        self.failed += failed

    def left(self, now: datetime) -> str:
        """ "about 4:10 left, 2 failed"."""
        spent = (now - self._started).total_seconds()
        text = f"about {clock(spent / self.done * (self.total - self.done))} left"
        return text + (f", {self.failed} failed" if self.failed else "")


def _line(show: Callable[[str], None], watch: Watch, failed: bool) -> None:
    watch.count(failed)
    every = max(1, watch.total // LINES)
    if watch.done % every == 0 or watch.done == watch.total:
        show(f"{watch.done} of {watch.total} cells, {watch.left(wall_now())}")


def clock(seconds: float) -> str:
    """ "4:10", "1:02:03"."""
    minutes, secs = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes}:{secs:02}"
