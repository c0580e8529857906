"""Many seeds of one policy, played twice over, and with regressions of known size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from marsbench.errors import UsageError
from marsbench.judge.compare.figures import Figure
from marsbench.judge.compare.read import ReadRun, read
from studies.calibration.dice import dice
from studies.calibration.effects import Sessions, figures, slowed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BASE, HARMLESS, SLOWER = "base", "step-1.001", "step-1.033"
SIZES = {"+5 %": 0.05, "+10 %": 0.1, "+20 %": 0.2}
"""Regressions, by what they do to the figure that is looked at."""
HALVINGS = 24
FEWEST, FEWEST_PAIRS = 10, 5


@dataclass(frozen=True, slots=True)
class Pool:
    """figures: of every variation, an array with a number a seed; all in the order of `seeds`.

    pairs: real runs on a slower GPU that the regressions are made from. measured: what those
    changed, figure by figure.
    """

    title: str
    code: tuple[str, ...]
    sessions: int
    seeds: tuple[int, ...]
    figures: Mapping[str, Mapping[Figure, Floats]]
    pairs: int
    measured: Mapping[Figure, float]

    @property
    def variations(self) -> list[str]:
        """All but the one that the others are held against."""
        return [name for name in self.figures if name != BASE]

    def change(self, variation: str, figure: Figure) -> float:
        """The true change of the pool: its ratio of means, less 1."""
        return float(self.figures[variation][figure].mean() / self.base(figure).mean() - 1)

    def typical(self, variation: str, figure: Figure) -> float:
        """The median of the pool's paired changes."""
        import numpy as np

        return float(np.median(self.figures[variation][figure] / self.base(figure))) - 1

    def beyond(self, variation: str, figure: Figure, margin: float) -> float:
        """The share of seeds that changed by more than a margin, the way that all did."""
        way = 1 if self.change(variation, figure) > 0 else -1
        each = way * (self.figures[variation][figure] / self.base(figure) - 1)
        return float((each > margin).mean())

    def base(self, figure: Figure) -> Floats:
        """A figure of every seed on the GPU as it is."""
        return self.figures[BASE][figure]


def read_pool(folder: Path, names: Sequence[Figure]) -> Pool:
    """The runs of a sweep at one place as a pool. Raises UsageError for one without enough runs."""
    runs = read([folder], ()).runs
    by: defaultdict[str, dict[int, Sessions]] = defaultdict(dict)
    for run in runs:
        by[run.place.variation][run.source.seed or 0] = run.result.sessions
    seeds = sorted(by[BASE].keys() & by[HARMLESS].keys())
    paired = sorted(by[BASE].keys() & by[SLOWER].keys())
    if len(seeds) < FEWEST or len(paired) < FEWEST_PAIRS:
        raise UsageError(
            f"{folder} needs {FEWEST} seeds of {BASE} and {HARMLESS} and {FEWEST_PAIRS} of "
            f"{SLOWER}, and has {len(seeds)} and {len(paired)}; play it with "
            "`marsbench sweep gate-calibration`."
        )
    return _pool(runs, by, seeds, paired, names)


def _pool(
    runs: Sequence[ReadRun],
    by: Mapping[str, Mapping[int, Sessions]],
    seeds: Sequence[int],
    paired: Sequence[int],
    names: Sequence[Figure],
) -> Pool:
    base = [by[BASE][seed] for seed in seeds]
    pairs = [(by[BASE][seed], by[SLOWER][seed]) for seed in paired]
    found = {
        BASE: figures(base, names),
        HARMLESS: figures([by[HARMLESS][seed] for seed in seeds], names),
        **{name: {f: _sized(base, pairs, f, size) for f in names} for name, size in SIZES.items()},
    }
    before, after = (figures([pair[side] for pair in pairs], names) for side in (0, 1))
    first = runs[0]
    return Pool(
        title=f"{first.backend} on {first.place.title}",
        code=tuple(sorted({run.source.code for run in runs})),
        sessions=first.source.sessions,
        seeds=tuple(seeds),
        figures=found,
        pairs=len(pairs),
        measured={name: float(after[name].mean() / before[name].mean() - 1) for name in names},
    )


def _sized(
    base: Sequence[Sessions],
    pairs: Sequence[tuple[Sessions, Sessions]],
    figure: Figure,
    size: float,
) -> Floats:
    """The figure of all seeds when sessions are slowed until just it has got worse by `size`."""

    def at(slower: float) -> Floats:
        return figures(slowed(base, pairs, slower, dice("effect", figure)), [figure])[figure]

    whole, low, high = float(figures(base, [figure])[figure].mean()), 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if abs(float(at(middle).mean()) / whole - 1) < size:
            low = middle
        else:
            high = middle
    return at(high)
