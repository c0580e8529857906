"""Progress on stderr: where a person looks, and never where a machine reads.

A terminal gets bars; a file or a pipe a plain line every ten seconds, of what takes that long.
`MARSBENCH_PROGRESS=off` switches both off.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from marsbench.clock import monotonic

if TYPE_CHECKING:
    from rich.console import Console

EVERY_S = 10.0
VARIABLE = "MARSBENCH_PROGRESS"


class PlainLines:
    """What is under way, as a line every `every_s` seconds for as long as it is.

    clock: in seconds. wait: returns after so many seconds, True where the work is over by then.
    """

    def __init__(
        self,
        label: str,
        total: int | None,
        out: TextIO,
        clock: Callable[[], float] = monotonic,
        every_s: float = EVERY_S,
    ) -> None:
        self._label = label
        self._total = total
        self._out = out
        self._clock = clock
        self._every_s = every_s
        self._began = clock()
        self._over = threading.Event()
        self.done = 0

    def until_over(self, wait: Callable[[float], bool] | None = None) -> None:
        """Say how far it is, again and again."""
        wait = wait or self._over.wait
        while not wait(self._every_s):
            self.say()

    def say(self) -> None:
        """One line: "fcfs on ilr-1: 120/1000, 20 s"."""
        far = "" if self._total is None else f" {self.done}/{self._total},"
        self._out.write(f"{self._label}:{far} {self._clock() - self._began:.0f} s\n")
        self._out.flush()

    @contextmanager
    def going(self) -> Iterator[None]:
        """While it is under way, a thread of its own says so: imports do not come back to us."""
        if not is_on():
            yield
            return
        thread = threading.Thread(target=self.until_over, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()


@contextmanager
def progress_bar(label: str, total: int, show: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar of `total`; the yielded function is told how many are done."""
    console = _stderr()
    if not (show and is_on()):
        yield lambda _: None
    elif console.is_terminal:
        with _bar(label, total, console) as told:
            yield told
    else:
        lines = PlainLines(label, total, sys.stderr)

        def tell(done: int) -> None:
            lines.done = done

        with lines.going():
            yield tell


@contextmanager
def _bar(label: str, total: int, console: Console) -> Iterator[Callable[[int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def steps(total: int) -> Iterator[Callable[[str], None]]:
    """A bar of `total` steps; the yielded function is told the name of each that begins."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = _stderr()
    columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    hidden = not (console.is_terminal and is_on())
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=total)
        yield lambda name: bar.update(task, description=name, advance=1)


@contextmanager
def waiting_for(label: str, show: bool = True) -> Iterator[None]:
    """Something is under way whose length nobody knows."""
    console = _stderr()
    if not (show and is_on()):
        yield
    elif console.is_terminal:
        with console.status(label):
            yield
    else:
        with PlainLines(label, None, sys.stderr).going():
            yield


def is_on() -> bool:
    """Whether the user has not switched progress off."""
    return os.environ.get(VARIABLE) != "off"


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True)
