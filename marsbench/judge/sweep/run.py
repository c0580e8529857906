"""Play a sweep: what is complete stays, the rest is played, what fails is told at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from marsbench.errors import UsageError
from marsbench.extras import require
from marsbench.judge.sweep.cells import Cell, cells_of
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.play import Order, inputs_hash, orders_left, play
from marsbench.judge.sweep.progress import sweep_progress
from marsbench.judge.sweep.refine import asked_for
from marsbench.judge.sweep.spec import SweepFile, find_sweep, read_sweep_file
from marsbench.judge.sweep.workers import Outcome, play_all

RESULTS = Path("results")

Player = Callable[[Sequence[Sequence[Order]], int | None], Iterator[Outcome[Order]]]
"""Plays groups of orders, so many at a time, and tells what came of each as it is known."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a sweep; failures are (cell, sentence)."""

    path: Path
    cells: int
    played: int
    failures: tuple[tuple[str, str], ...]


def local(groups: Sequence[Sequence[Order]], jobs: int | None) -> Iterator[Outcome[Order]]:
    """Played by processes of this machine, one a core unless told otherwise."""
    if groups:
        require("vllm")  # said once, not by each cell of a worker
    return play_all(groups, play, jobs or default_jobs())


def sweep(
    name_or_path: str, output: Path | None = None, jobs: int | None = None, player: Player = local
) -> Report:
    """Play what is still to be played of a sweep.

    Raises UsageError, before anything is played, for a file that is not a sweep.
    """
    file = find_sweep(name_or_path)
    asked = read_sweep_file(file)
    hashes = {cell.name: _resolved(file, cell) for cell in cells_of(asked, file.parent)}
    root = output or RESULTS / file.stem
    text = file.read_text(encoding="utf-8")
    cells = asked_for(asked, file.parent, SweepFolder(root), hashes)
    folder = SweepFolder.create(root, file.stem, text, [cell.name for cell in cells])
    played, failures = 0, dict[str, str]()
    with folder.locked():
        for cells in _rounds(asked, file.parent, folder, hashes):
            folder.write_plan(file.stem, text, [cell.name for cell in cells])
            left = orders_left(folder, hashes, cells)
            orders = [order for order in left if order.cell.name not in failures]
            failures.update(play_orders(folder, orders, jobs, player))
            played += len(orders)
    return Report(root, len(cells), played, (*failures.items(), *_invalid(folder)))


def _rounds(
    asked: SweepFile, place: Path, folder: SweepFolder, hashes: Mapping[str, str]
) -> Iterator[list[Cell]]:
    """The cells to be played, and again those with more seeds, as long as that adds some."""
    before: list[Cell] = []
    while (cells := asked_for(asked, place, folder, hashes)) != before:
        before = cells
        yield cells


def default_jobs() -> int:
    """As many as there are cores for this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _resolved(file: Path, cell: Cell) -> str:
    """The hash of the cell's inputs; what the file asks for and cannot be is told of the file."""
    try:
        return inputs_hash(cell)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error


def play_orders(
    folder: SweepFolder, orders: Sequence[Order], jobs: int | None, player: Player
) -> list[tuple[str, str]]:
    """Play them, in groups that share work. What failed, as (cell, sentence)."""
    failures = []
    with sweep_progress(len(orders)) as report:
        for outcome in player(_grouped(orders), jobs):
            name = outcome.task.cell.name
            report(name, outcome.error is not None)
            if outcome.error is not None:
                failures.append((name, outcome.error))
                folder.note_failure(name, outcome.detail or outcome.error)
    return failures


def _grouped(orders: Sequence[Order]) -> list[list[Order]]:
    """Cells that share their sessions' times alone stand together."""
    return [list(group) for _, group in groupby(orders, lambda order: order.cell.sessions)]


def _invalid(folder: SweepFolder) -> Iterator[tuple[str, str]]:
    """Runs that went to their end and do not count."""
    for result in folder.results():
        if not result.summary["valid"]:
            yield result.run.path.name, f"not valid: {result.summary['reasons'][0]}"
