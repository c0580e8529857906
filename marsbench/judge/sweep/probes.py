"""The probes of a capacity search: played as cells of a sweep, and what came of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from marsbench.core.metrics.goodput import alpha_key
from marsbench.errors import MarsbenchError, RunFailedError
from marsbench.judge.intervals import typical
from marsbench.judge.sweep.cells import Cell
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.play import Order, inputs_hash, orders_left, play
from marsbench.judge.sweep.run import local
from marsbench.judge.sweep.search import Probe, Search
from marsbench.judge.sweep.workers import Outcome
from marsbench.text.progress import progress_bar


class ProbeShares(NamedTuple):
    """What came of a probe: the share of sessions that were good, of all seeds together and of
    each."""

    together: float
    each: tuple[float, ...]

    def surely(self, share: float) -> str | None:
        """ "reached" or "missed" where the typical seed surely does; None with few seeds."""
        _, low, high = typical(self.each)
        if low is None or high is None or low < share <= high:
            return None
        return "reached" if low >= share else "missed"


class Probes:
    """Plays probes and remembers what came of them."""

    def __init__(self, root: Path, search: Search) -> None:
        self.root = root
        self.search = search
        self.shares: dict[Probe, ProbeShares] = {}
        self._cells: list[str] = []

    def reaches(self, probe: Probe) -> bool:
        """Whether enough sessions were good; plays what is not there yet."""
        if probe not in self.shares:
            self.shares[probe] = self._shares(probe)
        return self.shares[probe].together >= self.search.share

    def told(self) -> list[dict[str, Any]]:
        """Every probe with its share, and whether that is sure, as JSON."""
        rows = sorted(
            self.shares.items(),
            key=lambda row: (row[0].sessions, row[0].rate or 0.0, row[0].replicas or 0),
        )
        return [
            {**probe.told(), "share": found.together, "surely": found.surely(self.search.share)}
            for probe, found in rows
        ]

    def _shares(self, probe: Probe) -> ProbeShares:
        """Of all seeds. Raises RunFailedError."""
        cells = self.search.cells(probe)
        self._cells += [cell.name for cell in cells]
        text = self.search.text()
        folder = SweepFolder.create(self.root, self.root.name, text, self._cells)
        with folder.locked():
            for outcome in self._played(folder, cells, str(probe)):
                if outcome.error is not None:
                    folder.note_failure(outcome.task.cell.name, outcome.detail or outcome.error)
                    raise RunFailedError(f"{outcome.task.cell.name}: {outcome.error}")
            return _good_shares(folder, {cell.name for cell in cells}, self.search.alpha)

    def _played(
        self, folder: SweepFolder, cells: Sequence[Cell], label: str
    ) -> Iterator[Outcome[Order]]:
        orders = orders_left(folder, {cell.name: inputs_hash(cell) for cell in cells}, cells)
        jobs = self.search.jobs or 1
        player = here(orders) if jobs == 1 else local([[order] for order in orders], jobs)
        with progress_bar(label, len(orders)) as done:
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


def _good_shares(folder: SweepFolder, names: set[str], alpha: float) -> ProbeShares:
    """Good sessions of these cells ÷ their sessions that arrived."""
    results = (result for result in folder.results() if result.run.path.name in names)
    found = [result.summary["goodput"][alpha_key(alpha)] for result in results]
    good = [figure["good"] or 0 for figure in found]
    arrived = [figure["arrived"] for figure in found]
    each = tuple(own / all_ for own, all_ in zip(good, arrived, strict=True) if all_)
    return ProbeShares(sum(good) / sum(arrived), each)
