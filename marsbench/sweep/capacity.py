"""Capacity: the highest rate at which a share of the sessions finishes within α times alone.

A search is a sweep whose cells are decided as it goes: every probe's runs are kept as cells, so a
search that was stopped plays nothing twice, and the answer stands beside them in capacity.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marsbench.engine.progress import progress_bar
from marsbench.engine.simulated import prepare
from marsbench.errors import MarsbenchError, RunFailedError, UsageError
from marsbench.metrics.goodput import alpha_key
from marsbench.sweep.bisect import highest_rate
from marsbench.sweep.cells import Cell, cells_of
from marsbench.sweep.folder import PLAN, SweepFolder, write_json
from marsbench.sweep.inputs import inputs_hash, request_of
from marsbench.sweep.play import Order, play
from marsbench.sweep.run import RESULTS, local
from marsbench.sweep.spec import SweepFile
from marsbench.sweep.workers import Outcome

ANSWER = "capacity.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched: everything of a sweep but the rate. `file` holds one backend, one
    workload without rates or loads, and the seeds."""

    file: SweepFile
    share: float
    tolerance: float
    jobs: int | None = None
    folder: Path

    @property
    def alpha(self) -> float:
        return self.file.alphas[0]

    def text(self) -> str:
        """What makes two searches the same."""
        asked = {"share": self.share, "tolerance": self.tolerance}
        return json.dumps({**asked, "sweep": self.file.model_dump(mode="json")}, indent=2)

    def cells(self, rate: float) -> list[Cell]:
        """A probe: the runs of all seeds at one rate."""
        (workload,) = self.file.workloads
        at = workload.model_copy(update={"rates": (rate,)})
        return cells_of(self.file.model_copy(update={"workloads": (at,)}), self.folder)


def capacity(search: Search, output: Path | None = None) -> tuple[Path, dict[str, Any]]:
    """The folder of the search and its answer, searched or taken up where it stopped.

    Raises UsageError for what cannot be searched, RunFailedError when a probe cannot be played.
    """
    _check(search)
    root = output or RESULTS / _name(search)
    _check_folder(root, search)
    probes = Probes(root, search)
    bracket = highest_rate(probes.reaches, _start(search), search.tolerance)
    (first, *_), shares = search.cells(1.0), sorted(probes.shares.items())
    answer = {
        "marsbench_capacity": FORMAT,
        "backend": first.backend.key,
        "workload": first.workload.key,
        "hardware": first.hardware.key,
        "alpha": search.alpha,
        "share": search.share,
        "seeds": len(search.file.seeds),
        "rate": bracket.reached,
        "above": bracket.missed,
        "probes": len(shares),
        "tried": [{"rate": rate, "share": share} for rate, share in shares],
    }
    write_json(root / ANSWER, answer)
    return root, answer


def _check(search: Search) -> None:
    if not 0 < search.share <= 1:
        raise UsageError(
            f"--share must be above 0 and at most 1, not {search.share:g}; for example 0.9."
        )
    if not 0.001 <= search.tolerance <= 1:
        raise UsageError(
            f"--tolerance must be from 0.001 to 1, not {search.tolerance:g}; for example 0.05."
        )


def _name(search: Search) -> str:
    backend, workload = search.file.backends[0].key, search.file.workloads[0].key
    return f"capacity_{workload}_{backend}_alpha{alpha_key(search.alpha)}"


def _check_folder(root: Path, search: Search) -> None:
    """Raises UsageError when another search, or something else, lies there."""
    if (root / PLAN).is_file() and SweepFolder.open(root).plan().get("file") != search.text():
        raise UsageError(
            f"{root} holds another search or sweep; give another folder with -o, or ask for the "
            "same to go on with it."
        )


def _start(search: Search) -> float:
    """The rate at which the GPU would just keep up if every session were alone: load 1."""
    # Sessions are the same at every rate, so any rate will do to make them.
    job = prepare(request_of(search.cells(1.0)[0]))
    return 1.0 / job.alone.mean_gpu_s


class Probes:
    """Plays probes and remembers what came of them."""

    def __init__(self, root: Path, search: Search) -> None:
        self.root = root
        self.search = search
        self.shares: dict[float, float] = {}
        self._cells: list[str] = []

    def reaches(self, rate: float) -> bool:
        """Whether enough sessions were good at this rate; plays what is not there yet."""
        if rate not in self.shares:
            self.shares[rate] = self._probe(rate)
        return self.shares[rate] >= self.search.share

    def _probe(self, rate: float) -> float:
        """The share of all seeds' sessions that were good. Raises RunFailedError."""
        cells = self.search.cells(rate)
        self._cells += [cell.name for cell in cells]
        text = self.search.text()
        folder = SweepFolder.create(self.root, self.root.name, text, self._cells)
        with folder.locked():
            for outcome in self._played(folder, cells, rate):
                if outcome.error is not None:
                    folder.note_failure(outcome.task.cell.name, outcome.detail or outcome.error)
                    raise RunFailedError(f"{outcome.task.cell.name}: {outcome.error}")
            return _share(folder, {cell.name for cell in cells}, self.search.alpha)

    def _played(
        self, folder: SweepFolder, cells: Sequence[Cell], rate: float
    ) -> Iterator[Outcome[Order]]:
        hashes = {cell.name: inputs_hash(cell) for cell in cells}
        left = [cell for cell in cells if not folder.is_complete(cell.name, hashes[cell.name])]
        orders = [Order(self.root.absolute(), cell, hashes[cell.name]) for cell in left]
        jobs = self.search.jobs or 1
        player = here(orders) if jobs == 1 else local([[order] for order in orders], jobs)
        with progress_bar(f"{rate:g} sessions/s", len(orders)) as done:
            for number, outcome in enumerate(player, start=1):
                done(number)
                yield outcome


def here(orders: Sequence[Order]) -> Iterator[Outcome[Order]]:
    """One after the other in this process, which has imported the simulator already."""
    for order in orders:
        try:
            play(order)
        except MarsbenchError as error:
            yield Outcome(order, str(error))
        else:
            yield Outcome(order)


def _share(folder: SweepFolder, names: set[str], alpha: float) -> float:
    """Good sessions of these cells ÷ their sessions that arrived."""
    good = arrived = 0
    for result in folder.results():
        if result.run.path.name in names:
            figure = result.summary["goodput"][alpha_key(alpha)]
            good += figure["good"] or 0
            arrived += figure["arrived"]
    return good / arrived
