"""The runs of one backend at one place, and what its figures come to when they are drawn again."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from marsbench.compare.intervals import Drawn, picks, weights
from marsbench.compare.points import Place
from marsbench.compare.read import Run
from marsbench.compare.sessions import Sessions, statistics, together
from marsbench.compare.values import Unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

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
    def unit(self) -> Unit:
        """Seeds where there are several, else the sessions of the one there is."""
        return "seed" if len(self.runs) > 1 else "session"

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


def drawn(group: Group, alphas: Sequence[float], resamples: int) -> dict[str, Drawn]:
    """Every figure of a group, with what it comes to in each draw."""
    if group.unit == "seed":
        return _over_seeds(group, resamples)
    (run,) = group.runs.values()
    return {**_as_they_are(group), **over_sessions(run, alphas, resamples)}


def _as_they_are(group: Group) -> dict[str, Drawn]:
    found = {name: group.values(name) for name in group.names()}
    return {name: Drawn(None if v is None else v[0], None) for name, v in found.items()}


def _over_seeds(group: Group, resamples: int) -> dict[str, Drawn]:
    import numpy as np

    shares = weights(len(group.runs), resamples)
    found = {}
    for name in group.names():
        values = group.values(name)
        if values is None:
            found[name] = Drawn(None, None)
        else:
            found[name] = Drawn(sum(values) / len(values), shares @ np.array(values))
    return found


def over_sessions(run: Run, alphas: Sequence[float], resamples: int) -> dict[str, Drawn]:
    """The figures that are of sessions, drawn by sessions; a run's others have no second sample."""
    sessions = run.sessions
    if not sessions.known:
        return {}
    taken = picks(len(sessions.names), resamples)
    latency, slowdown = sessions.latency_s[taken], sessions.slowdown[taken]
    with warnings.catch_warnings():
        # A draw in which nobody finished has no latency: NaN, and so no interval.
        warnings.simplefilter("ignore", RuntimeWarning)
        return {
            name: Drawn(run.figures[name], of(latency, slowdown))
            for name, of in statistics(alphas).items()
            if run.figures.get(name) is not None
        }


def same_sessions(a: Group, b: Group) -> bool:
    """Whether the groups' first runs played sessions of the same names, so that they pair."""
    return all(
        x.sessions.names == y.sessions.names
        for x, y in zip(a.runs.values(), b.runs.values(), strict=True)
    )
