"""The runs that a report is of: compared once, with what it needs to know of where they lie."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from marsbench.compare import compare, traces
from marsbench.compare.points import Matrix, Place
from marsbench.compare.values import Comparison, Traces
from marsbench.errors import UsageError
from marsbench.report.looks import Look, is_ablation, looks_of
from marsbench.reproduce.systems import MARS
from marsbench.runs import RunFolder
from marsbench.sweep.folder import PLAN, SweepFolder

SHEET = 5
"""Regimes that stand side by side; more go onto a figure of their own."""


class Absent(Exception):  # noqa: N818 (no error: a report goes on without the figure)
    """A figure cannot be drawn from these runs; the text says why in a sentence without a stop."""


@dataclass(frozen=True, slots=True)
class Regime:
    """A workload on one hardware, engine and variation, at its loads, the lightest first."""

    title: str
    places: tuple[Place, ...]

    @property
    def heaviest(self) -> Place:
        """Where its load is highest."""
        return self.places[-1]

    @property
    def lightest(self) -> Place:
        """Where its load is lowest."""
        return self.places[0]


class Material:
    """A comparison and the folders that it was made from."""

    def __init__(self, given: Sequence[Path], comparison: Comparison) -> None:
        self.given = tuple(given)
        self.comparison = comparison

    @staticmethod
    def read(given: Sequence[Path], across: Collection[str] = ()) -> Material:
        """Compares the runs in these folders, with MARS where it is among them.

        Raises UsageError as `compare` does, and where there are no runs at all.
        """
        try:
            found = compare(given, baseline=MARS, across=across)
        except UsageError:
            # MARS may not be among them; what else is wrong is said by this one again.
            found = compare(given, across=across)
        if not found.sources:
            raise UsageError("A report is of runs; give the folders of runs or of sweeps as well.")
        return Material(given, found)

    @property
    def matrix(self) -> Matrix:
        """Points: a backend at a place, its seeds put together."""
        return self.comparison.matrix

    @property
    def alpha(self) -> float:
        """The α that ranks."""
        return self.comparison.alphas[0]

    @cached_property
    def sweeps(self) -> list[SweepFolder]:
        """Those of the folders given that are sweeps."""
        return [SweepFolder.open(path) for path in self.given if (path / PLAN).is_file()]

    @cached_property
    def looks(self) -> dict[str, Look]:
        """Every backend with its look, in the order of legends."""
        return looks_of(self.comparison.backends)

    @property
    def contenders(self) -> dict[str, Look]:
        """The backends that are whole."""
        return {name: look for name, look in self.looks.items() if not is_ablation(name)}

    @property
    def ablations(self) -> dict[str, Look]:
        """The backends that lack a part."""
        return {name: look for name, look in self.looks.items() if is_ablation(name)}

    @cached_property
    def regimes(self) -> list[Regime]:
        """Workloads in order of name, each with its places from the lightest load on."""
        groups: dict[Place, list[Place]] = {}
        for place in self.matrix.places:
            groups.setdefault(place._replace(load=None, rate=None), []).append(place)
        return [Regime(self.matrix.title(bare), tuple(group)) for bare, group in groups.items()]

    @cached_property
    def traces(self) -> Traces:
        """What happened over time where each regime's load is highest; of the first seed."""
        places = {regime.heaviest for regime in self.regimes}
        shown = tuple(
            source
            for source in self.comparison.sources
            if source.place in places and source.backend in self.contenders
        )
        return traces(replace(self.comparison, sources=shown))

    @property
    def versions(self) -> list[str]:
        """The versions that runs were made with, in words; each set once."""
        paths = {source.code: source.path for source in self.comparison.sources}
        return [_versions(Path(path)) for path in paths.values()]


def _versions(run: Path) -> str:
    known = RunFolder.open(run).config.code.versions
    return ", ".join(f"{name} {version}" for name, version in known.items() if version)


def sheets(regimes: Sequence[Regime]) -> Iterator[Sequence[Regime]]:
    """The regimes in groups that fit side by side, about equally many in each."""
    number = -(-len(regimes) // SHEET)
    size = -(-len(regimes) // number)
    for first in range(0, len(regimes), size):
        yield regimes[first : first + size]
