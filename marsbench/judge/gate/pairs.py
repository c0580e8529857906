"""Two folders as pairs of runs: the same place, the same seeds, the same sessions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from marsbench.errors import UsageError
from marsbench.judge.compare.alike import check_places
from marsbench.judge.compare.cautions import failed_sessions
from marsbench.judge.compare.points import MatrixPoint, Pair, Place, by_seed, pair_of, points_of
from marsbench.judge.compare.read import Folders, ReadRun, read
from marsbench.judge.gate.values import GateError


def pairs_of(
    baseline: Path, candidate: Path, alphas: Sequence[float]
) -> tuple[list[Pair], tuple[str, ...]]:
    """Every point of the baseline beside its like; and why sessions of either side failed.

    Raises GateError for a run that does not count, a missing one, or sides that are not alike.
    """
    try:
        sides = [read([folder], alphas) for folder in (baseline, candidate)]
        for folder, side in zip((baseline, candidate), sides, strict=True):
            _check_whole(folder, side)
        base, other = (_points(side) for side in sides)
        pairs = list(_matched(baseline, candidate, base, other))
        for pair in pairs:
            check_places([*_runs(sides[0], pair.base), *_runs(sides[1], pair.other)])
        sources = [run.source for side in sides for run in side.runs]
        return pairs, tuple(failed_sessions(sources))
    except UsageError as error:
        raise GateError(str(error)) from error


def _points(side: Folders) -> list[MatrixPoint]:
    return points_of((run.where, run.source.seed, run.figures) for run in side.runs)


def _runs(side: Folders, point: MatrixPoint) -> Iterator[ReadRun]:
    own = sorted(side.runs, key=lambda run: by_seed(run.source.seed))
    return (run for run in own if run.where == point.where and run.source.seed in point.seeds)


def _check_whole(folder: Path, side: Folders) -> None:
    if not side.runs:
        raise GateError(f"{folder} holds no complete run, so there is nothing to judge; run it.")
    for name, number in side.missing.items():
        raise GateError(f"{number} planned runs of {name} are missing; `marsbench sweep` them.")
    for run in side.runs:
        if not run.source.valid:
            raise GateError(
                f"{run.source.path} is not valid ({run.source.reasons[0]}), so it decides "
                "nothing; rerun it."
            )


def _matched(
    baseline: Path, candidate: Path, base: Sequence[MatrixPoint], other: Sequence[MatrixPoint]
) -> Iterator[Pair]:
    """By place; by backend too where a side has several at a place."""
    several = any(len({point.place for point in side}) < len(side) for side in (base, other))
    theirs = {(point.place, point.backend if several else ""): point for point in other}
    for point in base:
        like = theirs.get((point.place, point.backend if several else ""))
        if like is None:
            raise GateError(
                f"{candidate} has no run of {point.backend} on {_in_words(point.place)}, which "
                f"{baseline} has; play the same sweep for both."
            )
        pair = pair_of(point, like)
        if pair is None:
            raise GateError(
                f"{baseline} and {candidate} have no seed in common on {_in_words(point.place)}; "
                "play the same seeds for both."
            )
        yield pair


def _in_words(place: Place) -> str:
    parts = (place.hardware, place.engine, place.variation, place.model)
    return ", ".join([place.title, *filter(None, parts)])
