"""The runs of one backend at one place, and a number of every seed for each of its figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from marsbench.judge.compare.points import Place
from marsbench.judge.compare.read import Run
from marsbench.judge.compare.sessions import Sessions, together

Seed = int | None


@dataclass(frozen=True, slots=True)
class Group:
    """A backend at a place: its runs by seed, in ascending order of seeds."""

    place: Place
    backend: str
    runs: Mapping[Seed, Run]

    @property
    def seeds(self) -> tuple[Seed, ...]:
        return tuple(self.runs)

    @property
    def sessions(self) -> Sessions:
        """Those of all seeds."""
        return together([run.sessions for run in self.runs.values()])

    def only(self, seeds: Collection[Seed]) -> Group:
        """The same with these seeds alone."""
        kept = {seed: run for seed, run in self.runs.items() if seed in seeds}
        return Group(self.place, self.backend, kept)

    def names(self) -> list[str]:
        """Every figure that one of the runs has."""
        return list(dict.fromkeys(name for run in self.runs.values() for name in run.figures))

    def values(self, figure: str) -> list[float] | None:
        """A figure of every seed; None when one has none, for the others are then no sample."""
        found = [run.figures.get(figure) for run in self.runs.values()]
        return None if None in found else cast("list[float]", found)


def groups_of(runs: Iterable[Run]) -> dict[tuple[Place, str], Group]:
    """The runs by place and backend, in the order in which they first come."""
    found: defaultdict[tuple[Place, str], dict[Seed, Run]] = defaultdict(dict)
    for run in runs:
        found[run.place, run.backend][run.source.seed] = run
    return {key: Group(*key, _sorted(own)) for key, own in found.items()}


def _sorted(runs: Mapping[Seed, Run]) -> dict[Seed, Run]:
    return dict(sorted(runs.items(), key=lambda item: (item[0] is not None, item[0] or 0)))
