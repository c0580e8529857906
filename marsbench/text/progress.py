"""Progress bars on stderr: where a person looks, and never where a machine reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def progress_bar(label: str, total: int, show: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar of `total`; the yielded function is told how many are done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = _stderr()
    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    hidden = not (show and console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def steps(total: int) -> Iterator[Callable[[str], None]]:
    """A bar of `total` steps; the yielded function is told the name of each that begins."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = _stderr()
    columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=total)
        yield lambda name: bar.update(task, description=name, advance=1)


@contextmanager
def waiting_for(label: str, show: bool = True) -> Iterator[None]:
    """Something is under way whose length nobody knows."""
    console = _stderr()
    if show and console.is_terminal:
        with console.status(label):
            yield
    else:
        yield


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True)
