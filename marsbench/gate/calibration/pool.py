"""Many seeds of one policy, on the GPU as it is and on slower ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from marsbench.compare.read import read
from marsbench.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BASE = "base"
FEWEST = 10


@dataclass(frozen=True, slots=True)
class Pool:
    """figures: of every variation, an array with a number a seed; all in the order of `seeds`."""

    title: str
    code: tuple[str, ...]
    sessions: int
    seeds: tuple[int, ...]
    figures: Mapping[str, Mapping[str, Floats]]

    @property
    def variations(self) -> list[str]:
        """All but the one that the others are held against."""
        return [name for name in self.figures if name != BASE]

    def change(self, variation: str, figure: str) -> float:
        """The true change of the pool: its ratio of means, less 1."""
        return float(self.figures[variation][figure].mean() / self.base(figure).mean() - 1)

    def base(self, figure: str) -> Floats:
        """A figure of every seed on the GPU as it is."""
        return self.figures[BASE][figure]


def read_pool(folder: Path, names: Sequence[str]) -> Pool:
    """The runs of a sweep at one place, by variation and seed; seeds that all variations have.

    Raises UsageError for a sweep without a base, or with too few seeds.
    """
    runs = read([folder], ()).runs
    found: defaultdict[str, dict[int, Mapping[str, float | None]]] = defaultdict(dict)
    for run in runs:
        found[run.place.variation][run.source.seed or 0] = run.figures
    seeds = sorted(set.intersection(*(set(own) for own in found.values()))) if found else []
    if BASE not in found or len(seeds) < FEWEST:
        raise UsageError(
            f"{folder} has no variation {BASE!r} with {FEWEST} seeds or more that all variations "
            "have; play it with `marsbench sweep gate-calibration`."
        )
    figures = {
        name: {figure: _column(own, seeds, figure) for figure in names}
        for name, own in found.items()
    }
    first = runs[0]
    codes = tuple(sorted({run.source.code for run in runs}))
    title = f"{first.backend} on {first.place.title}"
    return Pool(title, codes, first.source.sessions, tuple(seeds), figures)


def _column(
    own: Mapping[int, Mapping[str, float | None]], seeds: Sequence[int], figure: str
) -> Floats:
    import numpy as np

    return np.array([own[seed][figure] for seed in seeds], dtype=float)
