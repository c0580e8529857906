"""The runs that a report is of: compared once, with what it needs to know of where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from marsbench.errors import UsageError, unknown_name
from marsbench.judge.compare import compare, traces
from marsbench.judge.compare.causes import Means, read_means
from marsbench.judge.compare.points import Matrix, Place
from marsbench.judge.compare.traces import first_runs
from marsbench.judge.compare.values import Comparison, RunSource, Traces
from marsbench.judge.paper.systems import MARS
from marsbench.judge.sweep.folder import PLAN, SweepFolder
from marsbench.report.looks import Look, is_ablation, looks_of
from marsbench.runs import RunFolder
from marsbench.text.options import words_of
from marsbench.text.words import listed

SHEET = 5
"""Regimes that stand side by side; more go onto a figure of their own."""


class Absent(Exception):  # noqa: N818 (no error: a report goes on without the figure)
    """A figure cannot be drawn from these runs; the text says why in a sentence without a stop."""


PAPERS = {"mars": MARS}
"""Papers whose numbers can be judged, each with the backend that it is about."""


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


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a report has beyond its runs.

    across: dimensions in which the runs may differ. baseline: what ratios are to; None for the
    one that `compare` takes. verdicts: the paper whose numbers are judged, one of `PAPERS`.
    """

    across: tuple[str, ...] = ()
    baseline: str | None = None
    verdicts: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The same as options of a command."""
        values = (("--across", self.across), ("--baseline", self.baseline),
                  ("--verdicts", self.verdicts))  # fmt: skip
        return tuple(word for name, value in values for word in words_of(name, value))


DEFAULTS = ReportOptions()


class Material:
    """A comparison and the folders that it was made from."""

    def __init__(
        self, folders: Sequence[Path], comparison: Comparison, options: ReportOptions = DEFAULTS
    ) -> None:
        self.folders = tuple(folders)
        self.comparison = comparison
        self.options = options

    @staticmethod
    def read(folders: Sequence[Path], options: ReportOptions = DEFAULTS) -> Material:
        """Compares the runs in these folders.

        Raises UsageError as `compare` does, where there are no runs at all, and where the verdicts
        of a paper are asked for that no run can bear.
        """
        if options.verdicts is not None and options.verdicts not in PAPERS:
            raise unknown_name("paper with verdicts", options.verdicts, PAPERS)
        comparison = _compared(folders, options)
        if not comparison.sources:
            raise UsageError("A report is of runs; give the folders of runs or of sweeps as well.")
        return Material(folders, comparison, options)

    def against(self, base: str) -> Comparison:
        """The same runs with differences against another backend."""
        if base == self.comparison.baseline:
            return self.comparison
        return compare(self.folders, baseline=base, across=self.options.across)

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
        """Those of the folders that are sweeps."""
        return [SweepFolder.open(path) for path in self.folders if (path / PLAN).is_file()]

    @cached_property
    def looks(self) -> dict[str, Look]:
        """Every backend with its look, in the order of legends."""
        return looks_of(self.comparison.backends)

    @cached_property
    def contenders(self) -> dict[str, Look]:
        """The backends that are whole; all of them where none is."""
        whole = {name: look for name, look in self.looks.items() if not is_ablation(name)}
        return whole or self.looks

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
        return traces(replace(self.comparison, sources=tuple(self.at_heaviest)))

    @property
    def at_heaviest(self) -> list[RunSource]:
        """The first run of every contender where its regime's load is highest."""
        places = {regime.heaviest for regime in self.regimes}
        shown = (
            source
            for source in self.comparison.sources
            if source.place in places and source.backend in self.contenders
        )
        return first_runs(shown)

    @cached_property
    def means(self) -> Means:
        """The mean session of those, for where its seconds went."""
        return read_means([((s.place, s.backend), s.seed, Path(s.path)) for s in self.at_heaviest])

    @property
    def versions(self) -> list[str]:
        """The versions that runs were made with, in words; each set once."""
        paths = {source.code: source.path for source in self.comparison.sources}
        return [_versions(Path(path)) for path in paths.values()]


def _versions(run: Path) -> str:
    known = RunFolder.open(run).config.code.versions
    return ", ".join(f"{name} {version}" for name, version in known.items() if version)


Item = TypeVar("Item")


def sheets(items: Sequence[Item], most: int = SHEET) -> Iterator[Sequence[Item]]:
    """The items in groups of at most `most`, about equally many in each."""
    number = -(-len(items) // most)
    size = -(-len(items) // max(number, 1))
    for first in range(0, len(items), max(size, 1)):
        yield items[first : first + size]


def not_run(
    material: Material,
    places: Sequence[Place],
    names: Iterable[str],
    has: Callable[[Place, str], bool] | None = None,
    what: str = "Not run",
) -> str:
    """A sentence of a caption: which backends are shown at some of these places alone.

    has: whether a backend has what the figure shows; by default, whether it was run there.
    """
    known = has or (lambda place, name: material.matrix.at(place, name) is not None)
    own = [name for name in names if any(known(place, name) for place in material.matrix.places)]
    absent = {place: tuple(n for n in own if not known(place, n)) for place in places}
    titles: dict[tuple[str, ...], list[str]] = {}
    for regime in material.regimes:
        shown = [place for place in regime.places if place in absent]
        same = len({absent[place] for place in shown}) == 1 < len(shown)
        for place in shown[:1] if same else shown:
            title = regime.title if same else material.matrix.title(place)
            titles.setdefault(absent[place], []).append(title)
    return "".join(
        f" {what} on {listed(where)}: {listed(lacking)}."
        for lacking, where in titles.items()
        if lacking
    )


def _compared(folders: Sequence[Path], options: ReportOptions) -> Comparison:
    """With the baseline that is wanted, by name or by the verdicts on a paper."""
    about = PAPERS.get(options.verdicts or "")
    base = options.baseline or about
    try:
        return compare(folders, baseline=base, across=options.across)
    except UsageError:
        if about is None or options.baseline is not None:
            raise
    # The paper's backend may not be among them; what else is wrong is said by this one again.
    compare(folders, across=options.across)
    raise UsageError(
        f"The verdicts of {options.verdicts} are on the backend {about}, which is not among the "
        "runs; give its runs too, or leave --verdicts out."
    )
