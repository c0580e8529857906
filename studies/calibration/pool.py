"""Many seeds of one policy: as it is, played again though nothing changed, and made worse."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from marsbench.errors import UsageError
from marsbench.judge.compare.figures import AREA, GOODPUT, LATENCY, Figure
from marsbench.judge.compare.points import Place
from marsbench.judge.compare.read import ReadRun, read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BASE, HARMLESS = "base", "step-1.001"
FIGURES = (
    GOODPUT,
    Figure("steady_goodput", 3.0),
    Figure("goodput", 2.0),
    Figure("steady_goodput", 2.0),
    AREA,
    LATENCY,
    Figure("slowdown_mean"),
    Figure("latency_p95_s"),
)
FEWEST = 10

_Cases = dict[str, dict[int, ReadRun]]
"""The runs of a policy at one place: by what was done to it, and by seed."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """One policy at one place.

    figures: of every case an array with a number a seed, all in the order of `seeds`. BASE is the
    policy as it is, HARMLESS the same with steps that take 0.1 % longer, the others are worse
    parameters of it, by the label that the sweep gives them.
    """

    title: str
    code: tuple[str, ...]
    sessions: int
    seeds: tuple[int, ...]
    figures: Mapping[str, Mapping[Figure, Floats]]

    @property
    def cases(self) -> list[str]:
        """All but the one that the others are held against."""
        return [name for name in self.figures if name != BASE]

    @property
    def regressions(self) -> list[str]:
        """The cases that are worse."""
        return [name for name in self.cases if name != HARMLESS]

    @property
    def names(self) -> list[Figure]:
        """The figures."""
        return list(self.figures[BASE])

    def change(self, case: str, figure: Figure) -> float:
        """The true change of the pool: its ratio of means, less 1."""
        return float(self.figures[case][figure].mean() / self.base(figure).mean() - 1)

    def changes(self, case: str, figure: Figure) -> Floats:
        """Of every seed."""
        return self.figures[case][figure] / self.base(figure) - 1

    def typical(self, case: str, figure: Figure) -> float:
        """The median of the pool's paired changes."""
        import numpy as np

        return float(np.median(self.changes(case, figure)))

    def scatter(self, case: str, figure: Figure) -> float:
        """The standard deviation of one seed's paired change."""
        return float(self.changes(case, figure).std(ddof=1))

    def beyond(self, case: str, figure: Figure, margin: float) -> int:
        """How many seeds got worse by more than a margin."""
        return int((_bad(figure) * self.changes(case, figure) > margin).sum())

    def least(self, case: str, figure: Figure) -> float:
        """The change of the seed that got worse the least."""
        return _bad(figure) * float((_bad(figure) * self.changes(case, figure)).min())

    def exceeds(self, case: str, figure: Figure, margin: float) -> bool:
        """Whether the pool's true change is for the worse, by more than a margin."""
        return _bad(figure) * self.change(case, figure) > margin

    def base(self, figure: Figure) -> Floats:
        """A figure of every seed of the policy as it is."""
        return self.figures[BASE][figure]


def _bad(figure: Figure) -> int:
    return 1 if figure.better == "lower" else -1


def read_pools(folder: Path) -> tuple[Pool, ...]:
    """A pool for each policy at each place of a sweep, in the sweep's order.

    Raises UsageError where one has too few seeds, or nothing that is worse.
    """
    found: defaultdict[tuple[Place, str], _Cases] = defaultdict(lambda: defaultdict(dict))
    first: dict[tuple[Place, str], str] = {}
    for run in read([folder], ()).runs:
        where = run.place._replace(variation=""), run.source.name
        label = first.setdefault(where, run.backend)
        case = run.place.variation if run.backend == label else run.backend
        found[where][case][run.source.seed or 0] = run
    return tuple(_pools(folder, found.values()))


def _pools(folder: Path, found: Iterable[_Cases]) -> Iterator[Pool]:
    for cases in found:
        base = cases.get(BASE, {})
        seeds = sorted(set(base).intersection(*cases.values()))
        if len(seeds) < FEWEST or not cases.keys() - {BASE, HARMLESS}:
            raise UsageError(
                f"{folder} needs at least {FEWEST} seeds of each policy as it is ({BASE}) and of "
                f"one that is worse, and {_named(cases)} has {len(seeds)} and "
                f"{', '.join(cases)}; play it with `marsbench sweep gate-calibration`."
            )
        yield _pool({case: [runs[seed] for seed in seeds] for case, runs in cases.items()}, seeds)


def _named(cases: _Cases) -> str:
    run = next(run for runs in cases.values() for run in runs.values())
    return f"{run.backend} on {run.place.title}"


def _pool(cases: Mapping[str, Sequence[ReadRun]], seeds: Sequence[int]) -> Pool:
    runs = [run for column in cases.values() for run in column]
    known = [figure for figure in FIGURES if all(r.figures.get(figure) is not None for r in runs)]
    first = cases[BASE][0]
    return Pool(
        title=f"{first.backend} on {first.place.title}",
        code=tuple(sorted({run.source.code for run in runs})),
        sessions=first.source.sessions,
        seeds=tuple(seeds),
        figures={case: {f: _column(column, f) for f in known} for case, column in cases.items()},
    )


def _column(runs: Sequence[ReadRun], figure: Figure) -> Floats:
    import numpy as np

    return np.array([run.figures[figure] for run in runs], dtype=float)
