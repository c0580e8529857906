"""Every backend on all of the traffic, as the folder of a sweep."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from marsbench.advise.traffic import TWICE, Written
from marsbench.core.workload.knobs import Knobs
from marsbench.errors import RunFailedError
from marsbench.judge.compare.winners import ALPHAS
from marsbench.judge.sweep.cells import Cell
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.play import Order, inputs_hash, orders_left
from marsbench.judge.sweep.probes import here
from marsbench.judge.sweep.run import Player, local, play_orders
from marsbench.judge.sweep.search import Search
from marsbench.judge.sweep.spec import BackendEntry, Variation, WorkloadEntry
from marsbench.judge.sweep.workers import Outcome

CAPPED = "fcfs-cap"


@dataclass(frozen=True, kw_only=True)
class FileCell(Cell):
    """A cell whose seed has a file of sessions of its own, which is played as it is."""

    seed: int
    rate: float

    @property
    def place(self) -> dict[str, Any]:
        return {**super().place, "rate": self.rate, "seed": self.seed}

    @property
    def sessions(self) -> tuple[object, ...]:
        return (self.seed, *super().sessions)


def in_turn(groups: Sequence[Sequence[Order]], jobs: int | None) -> Iterator[Outcome[Order]]:
    """Played one after another in this process, whatever `jobs` says."""
    return here(list(chain.from_iterable(groups)))


def player_of(jobs: int | None) -> Player:
    return in_turn if jobs == 1 else local


@dataclass(frozen=True, slots=True)
class Plays:
    """Where runs are played, and of what world: `world` has the hardware and the engine."""

    root: Path
    world: Search
    traffic: Sequence[Written]
    jobs: int | None

    def play(self, backends: Sequence[str]) -> None:
        """All of these on all of the traffic; what is complete stays.

        A fixed cap is the one with the best goodput at twice the load on the first seed, and is
        not played where that limits nobody. Raises RunFailedError where a run cannot be played.
        """
        own = [BackendEntry(name=name) for name in backends if name != CAPPED]
        cells = self._cells(own)
        if CAPPED in backends:
            first = next(one for one in self.traffic if one.load.name == TWICE)
            search = self._cell(BackendEntry(name=CAPPED), first)
            self._play([search, *cells])
            cap = self._cap(search)
            own += [] if cap is None else [capped(cap)]
        self._play(self._cells(own))

    def _cap(self, search: Cell) -> int | None:
        """What was found, where it held anybody back."""
        run = SweepFolder(self.root).result(search.name)
        decisions = run.summary["decisions"] or {}
        if not decisions["admission"]["differed"]:
            return None
        return int(run.run.config.params["cap"])

    def _play(self, cells: Sequence[Cell]) -> None:
        text = json.dumps(self.world.file.model_dump(mode="json"), indent=2)
        folder = SweepFolder.create(self.root, "advise", text, [cell.name for cell in cells])
        with folder.locked():
            orders = orders_left(folder, {cell.name: inputs_hash(cell) for cell in cells}, cells)
            for name, why in play_orders(folder, orders, self.jobs, player_of(self.jobs)):
                raise RunFailedError(f"{self.root / name}: {why}")

    def _cells(self, backends: Sequence[BackendEntry]) -> list[FileCell]:
        """Those that share their sessions' times alone stand together."""
        return [self._cell(backend, one) for one in self.traffic for backend in backends]

    def _cell(self, backend: BackendEntry, on: Written) -> FileCell:
        file = self.world.file
        alphas = dict.fromkeys((self.world.alpha, *ALPHAS))
        return FileCell(
            backend=backend,
            workload=WorkloadEntry(name=str(on.file), label=on.load.name),
            knobs=Knobs(),
            hardware=file.hardware[0],
            engine=file.engines[0],
            variation=Variation(label="base"),
            alphas=tuple(alphas),
            folder=self.world.folder,
            seed=on.seed,
            rate=on.load.rate,
        )


def capped(cap: int) -> BackendEntry:
    """A cap under a name that says it."""
    return BackendEntry(name=CAPPED, label=f"{CAPPED}-{cap}", set={"cap": cap})
