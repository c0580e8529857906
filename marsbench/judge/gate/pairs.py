"""Two folders as pairs of runs: the same place, the same seeds, the same sessions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marsbench.errors import UsageError
from marsbench.judge.compare.alike import check_places
from marsbench.judge.compare.groups import Group, groups_of
from marsbench.judge.compare.points import Place
from marsbench.judge.compare.read import Given, Run, read
from marsbench.judge.gate.values import GateError


@dataclass(frozen=True, slots=True)
class Pair:
    """A point of the baseline and the same of the candidate, with the seeds that both have."""

    base: Group
    other: Group


def pairs_of(baseline: Path, candidate: Path, alphas: Sequence[float]) -> list[Pair]:
    """Every point of the baseline beside its like.

    Raises GateError for a run that does not count, a missing one, or sides that are not alike.
    """
    try:
        sides = [read([folder], alphas) for folder in (baseline, candidate)]
        for folder, given in zip((baseline, candidate), sides, strict=True):
            _check_whole(folder, given)
        pairs = list(_matched(baseline, candidate, *(groups_of(g.runs) for g in sides)))
        for pair in pairs:
            check_places(_each_seed(pair))
        return pairs
    except UsageError as error:
        raise GateError(str(error)) from error


def _check_whole(folder: Path, given: Given) -> None:
    if not given.runs:
        raise GateError(f"{folder} holds no complete run, so there is nothing to judge; run it.")
    for name, number in given.missing.items():
        raise GateError(f"{number} planned runs of {name} are missing; `marsbench sweep` them.")
    for run in given.runs:
        if not run.source.valid:
            raise GateError(
                f"{run.source.path} is not valid ({run.source.reasons[0]}), so it decides "
                "nothing; rerun it."
            )


Groups = Mapping[tuple[Place, str], Group]


def _matched(baseline: Path, candidate: Path, base: Groups, other: Groups) -> Iterator[Pair]:
    """By place; by backend too where a side has several at a place."""
    several = _several(base) or _several(other)
    theirs = {(place, name if several else ""): group for (place, name), group in other.items()}
    for (place, name), group in base.items():
        like = theirs.get((place, name if several else ""))
        if like is None:
            raise GateError(
                f"{candidate} has no run of {name} on {_where(place)}, which {baseline} has; "
                "play the same sweep for both."
            )
        seeds = set(group.seeds) & set(like.seeds)
        if not seeds:
            raise GateError(
                f"{baseline} and {candidate} have no seed in common on {_where(place)}; "
                "play the same seeds for both."
            )
        yield Pair(group.only(seeds), like.only(seeds))


def _several(groups: Groups) -> bool:
    names: defaultdict[Place, set[str]] = defaultdict(set)
    for place, name in groups:
        names[place].add(name)
    return any(len(own) > 1 for own in names.values())


def _where(place: Place) -> str:
    told = (place.hardware, place.engine, place.variation, place.model)
    return ", ".join([place.title, *filter(None, told)])


def _each_seed(pair: Pair) -> list[Run]:
    return [run for group in (pair.base, pair.other) for run in group.runs.values()]


def samples(pair: Pair, figure: str) -> tuple[list[float], list[float]] | None:
    """A figure of both sides, a number a seed each; None where a seed has none."""
    base, other = pair.base.values(figure), pair.other.values(figure)
    if base is None or other is None:
        return None
    return base, other
