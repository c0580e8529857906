"""From folders to one comparison."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from marsbench.core.metrics.goodput import check_alpha
from marsbench.errors import UsageError, unknown_name
from marsbench.judge.compare.alike import check_alike, check_dimensions
from marsbench.judge.compare.caps import caps_in, given_caps
from marsbench.judge.compare.causes import (
    MOST_RUNS,
    cause_differences,
    cause_rows,
    read_means,
)
from marsbench.judge.compare.cautions import cautions_on
from marsbench.judge.compare.curves import cdf_of, curve_of, rounds_at
from marsbench.judge.compare.fairness import fairness, size_rows, tenant_rows
from marsbench.judge.compare.figures import Figure
from marsbench.judge.compare.points import Matrix, MatrixPoint, Where, by_seed, points_of
from marsbench.judge.compare.ranking import held, ranking, standings, varied
from marsbench.judge.compare.read import Folders, ReadRun, across, read
from marsbench.judge.compare.rows import areas_of, differences_of, estimates_of, of_oracle
from marsbench.judge.compare.values import Comparison, Ranking
from marsbench.judge.intervals import CONFIDENCE, check_confidence
from marsbench.judge.sweep.folder import Result

DEFAULT_BASELINE = "fcfs"


def compare(
    runs: Sequence[Path],
    *,
    baseline: str | None = None,
    alphas: Sequence[float] | None = None,
    across: Collection[str] = (),
    confidence: float = CONFIDENCE,
    why: bool | None = False,
) -> Comparison:
    """Everything that these folders (of runs, sweeps, capacity searches) say beside each other.

    baseline: the label that differences are against (fcfs where there is one, else the first).
    alphas: where goodput is taken (where all runs took it). across: dimensions that the runs may
    differ in; they then stand beside each other under labels that say so.
    why: whether to read from events where each run's seconds went; None for that where the runs
    are at most `MOST_RUNS`.
    Raises UsageError for a folder that is none of the three, for runs that are not alike, and for
    a baseline, an α or a confidence that cannot be.
    """
    check_confidence(confidence)
    wanted = tuple(check_alpha(alpha) for alpha in alphas or ())
    looked_across = check_dimensions(across)
    given = read(runs, wanted)
    own = _alike(given, looked_across)
    base = _baseline(own, baseline)
    if own and not given.alphas:
        raise UsageError("The runs have no α in common; say at which with --alpha, as --alpha 3.")
    asked = len(own) <= MOST_RUNS if why is None else why
    return _comparison(given, own, base, confidence, asked)


def _alike(given: Folders, dimensions: Collection[str]) -> tuple[ReadRun, ...]:
    if not given.runs and not given.capacities:
        raise UsageError(
            "None of the folders given holds a complete run; go on with `marsbench sweep`, or give "
            "the folders that `marsbench run` printed."
        )
    own = across(given.runs, dimensions)
    check_alike(own, dimensions)
    return own


def _baseline(runs: Sequence[ReadRun], asked: str | None) -> str:
    labels = list(dict.fromkeys(run.backend for run in runs))
    if asked is not None and asked not in labels:
        raise unknown_name("baseline", asked, labels)
    default = DEFAULT_BASELINE if DEFAULT_BASELINE in labels else next(iter(labels), "")
    return asked or default


def _comparison(
    given: Folders,
    runs: Sequence[ReadRun],
    baseline: str,
    confidence: float,
    why: bool,
) -> Comparison:
    matrix = Matrix(points_of((run.where, run.source.seed, run.figures) for run in runs))
    points = matrix.ordered
    alpha = next(iter(given.alphas), 3.0)
    good = Figure("goodput", alpha)
    caps = caps_in(matrix)
    return Comparison(
        sources=tuple(run.source for run in runs),
        places=tuple(matrix.places),
        backends=tuple(matrix.backends),
        baseline=baseline,
        alphas=given.alphas,
        confidence=confidence,
        matrix=matrix,
        estimates=tuple(estimates_of(points, confidence)),
        differences=tuple(differences_of(points, baseline, confidence)),
        rankings=tuple(Ranking(p, ranking(standings(matrix, p, good))) for p in matrix.places),
        held={name: held(matrix, name, good) for name in varied(matrix)},
        areas=tuple(areas_of(points, confidence)),
        of_oracle=tuple(of_oracle(points, good, confidence)),
        caps=caps,
        capacities=given.capacities,
        cautions=(*cautions_on(given, points, baseline, confidence), *given_caps(caps)),
        **_of_sessions(points, runs, alpha, confidence),
        **_of_events(runs if why else (), [point.where for point in points], baseline),
    )


def _of_events(runs: Sequence[ReadRun], order: Sequence[Where], baseline: str) -> dict[str, Any]:
    """The rows that are of what happened in the runs."""
    means = read_means([(run.where, run.source.seed, Path(run.source.path)) for run in runs])
    told = [where for where in order if where in means]
    return {
        "causes": tuple(cause_rows(means, told)),
        "cause_differences": tuple(cause_differences(means, told, baseline)),
    }


def _of_sessions(
    points: Sequence[MatrixPoint], runs: Sequence[ReadRun], alpha: float, confidence: float
) -> dict[str, Any]:
    """The rows that are of sessions and rounds, those of all seeds of a point pooled."""
    results: defaultdict[Where, list[Result]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: by_seed(run.source.seed)):
        results[run.where].append(run.result)
    pooled = {at: [s for run in own for s in run.sessions] for at, own in results.items()}
    order = [point.where for point in points]
    return {
        "curves": tuple(p for at in order for p in curve_of(at, results[at], confidence)),
        "cdf": tuple(p for at in order for p in cdf_of(at, pooled[at])),
        "sizes": tuple(row for at in order for row in size_rows(at, pooled[at], alpha)),
        "tenants": tuple(
            row
            for at in order
            for row in tenant_rows(at, pooled[at], alpha, [run.summary for run in results[at]])
        ),
        "fairness": tuple(fairness(at, pooled[at]) for at in order),
        "ttft_by_round": tuple(row for at in order for row in rounds_at(at, results[at])),
    }
