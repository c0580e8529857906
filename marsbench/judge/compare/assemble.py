"""From folders to one comparison."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from marsbench.core.metrics.goodput import check_alpha
from marsbench.errors import UsageError, unknown_name
from marsbench.judge.compare.alike import check_alike, check_dimensions
from marsbench.judge.compare.caps import caps_in, given_caps
from marsbench.judge.compare.cautions import cautions_on
from marsbench.judge.compare.curves import area_of, cdf_of, curve_of, rounds_at
from marsbench.judge.compare.fairness import fairness, size_rows, sizes, tenant_rows
from marsbench.judge.compare.figures import goodput_name
from marsbench.judge.compare.groups import groups_of
from marsbench.judge.compare.points import Matrix, gathered
from marsbench.judge.compare.ranking import held, ranking, standings, varied
from marsbench.judge.compare.read import Given, Run, across, read
from marsbench.judge.compare.rows import Rows
from marsbench.judge.compare.values import Comparison, Ranking
from marsbench.judge.intervals import CONFIDENCE, check_confidence

DEFAULT_BASELINE = "fcfs"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a comparison was asked for."""

    baseline: str
    alphas: tuple[float, ...]
    confidence: float


def compare(
    runs: Sequence[Path],
    *,
    baseline: str | None = None,
    alphas: Sequence[float] | None = None,
    across: Collection[str] = (),
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Everything that these folders (of runs, sweeps, capacity searches) say beside each other.

    baseline: the label that differences are against (fcfs where there is one, else the first).
    alphas: where goodput is taken (where all runs took it). across: dimensions that the runs may
    differ in; they then stand beside each other under labels that say so.
    Raises UsageError for a folder that is none of the three, for runs that are not alike, and for
    a baseline, an α or a confidence that cannot be.
    """
    check_confidence(confidence)
    wanted = tuple(check_alpha(alpha) for alpha in alphas or ())
    looked_across = check_dimensions(across)
    given = read(runs, wanted)
    own = _alike(given, looked_across)
    return _assembled(given, own, _terms(own, baseline, wanted, confidence))


def _alike(given: Given, dimensions: Collection[str]) -> tuple[Run, ...]:
    if not given.runs and not given.capacities:
        raise UsageError(
            "None of the folders given holds a complete run; go on with `marsbench sweep`, or give "
            "the folders that `marsbench run` printed."
        )
    own = across(given.runs, dimensions)
    check_alike(own, dimensions)
    return own


def _terms(
    runs: Sequence[Run],
    baseline: str | None,
    alphas: tuple[float, ...],
    confidence: float,
) -> Terms:
    labels = list(dict.fromkeys(run.backend for run in runs))
    if baseline is not None and baseline not in labels:
        raise unknown_name("baseline", baseline, labels)
    default = DEFAULT_BASELINE if DEFAULT_BASELINE in labels else next(iter(labels), "")
    return Terms(baseline or default, alphas or _alphas_of(runs), confidence)


def _alphas_of(runs: Sequence[Run]) -> tuple[float, ...]:
    """Those that every run took, in the order of the first. Raises UsageError when none is."""
    taken = [tuple(run.folder.config.alphas) for run in runs]
    if not taken:
        return ()
    common = tuple(a for a in taken[0] if all(a in others for others in taken))
    if not common:
        raise UsageError("The runs have no α in common; say at which with --alpha, as --alpha 3.")
    return common


def _assembled(given: Given, runs: Sequence[Run], terms: Terms) -> Comparison:
    points = gathered((run.place, run.backend, run.figures) for run in runs)
    matrix = Matrix(points)
    groups = groups_of(runs)
    ordered = [
        groups[place, name]
        for place in matrix.places
        for name in matrix.backends
        if (place, name) in groups
    ]
    rows = Rows(ordered, terms.baseline, terms.confidence)
    first = terms.alphas[0] if terms.alphas else 3.0
    pooled = [(group, group.sessions) for group in ordered]
    marked = {(g.place, g.backend): sizes(s) for g, s in pooled}
    return Comparison(
        sources=tuple(run.source for run in runs),
        places=tuple(matrix.places),
        backends=tuple(matrix.backends),
        baseline=terms.baseline,
        alphas=terms.alphas,
        confidence=terms.confidence,
        matrix=matrix,
        estimates=tuple(rows.estimates()),
        differences=tuple(rows.differences()),
        rankings=tuple(_rankings(matrix, first)),
        held={name: held(matrix, name, goodput_name(first)) for name in varied(matrix)},
        curves=tuple(p for g in ordered for p in curve_of(g, terms.confidence)),
        areas=tuple(area_of(g, terms.confidence) for g in ordered),
        cdf=tuple(p for g, s in pooled for p in cdf_of(g, s)),
        sizes=tuple(
            row
            for g, s in pooled
            for row in size_rows(g.place, g.backend, s, marked[g.place, g.backend], first)
        ),
        tenants=tuple(row for g, s in pooled for row in tenant_rows(g.place, g.backend, s, first)),
        fairness=tuple(
            fairness(g.place, g.backend, s, marked[g.place, g.backend]) for g, s in pooled
        ),
        ttft_by_round=tuple(row for g in ordered for row in rounds_at(g)),
        of_oracle=tuple(rows.of_oracle(goodput_name(first))),
        caps=caps_in(matrix),
        capacities=given.capacities,
        cautions=(
            *cautions_on(given, ordered, terms.baseline, terms.confidence),
            *given_caps(caps_in(matrix)),
        ),
    )


def _rankings(matrix: Matrix, alpha: float) -> Iterator[Ranking]:
    for place in matrix.places:
        yield Ranking(place, ranking(standings(matrix, place, goodput_name(alpha))))
