"""From folders to one comparison."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marsbench.compare.alike import check_alike, check_dimensions
from marsbench.compare.caps import caps_in, given_caps
from marsbench.compare.cautions import ENOUGH_SEEDS, cautions_on
from marsbench.compare.curves import area_of, cdf_of, curve_of, rounds_at
from marsbench.compare.fairness import fairness, size_rows, sizes, tenant_rows
from marsbench.compare.figures import figure_of, goodput_name
from marsbench.compare.groups import Group, Seed, drawn, groups_of, same_sessions
from marsbench.compare.intervals import CONFIDENCE, RESAMPLES, Drawn, difference, interval, ratio
from marsbench.compare.points import Matrix, Place, gathered
from marsbench.compare.ranking import held, ranking, standings, varied
from marsbench.compare.read import Given, Run, across, read
from marsbench.compare.values import (
    Comparison,
    Difference,
    Estimate,
    Interval,
    OfOracle,
    Ranking,
    Standing,
)
from marsbench.errors import UsageError, unknown_name
from marsbench.metrics.goodput import check_alpha

ORACLE = "oracle"
DEFAULT_BASELINE = "fcfs"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a comparison was asked for."""

    baseline: str
    alphas: tuple[float, ...]
    confidence: float
    resamples: int


def compare(
    runs: Sequence[Path],
    *,
    baseline: str | None = None,
    alphas: Sequence[float] | None = None,
    across: Collection[str] = (),
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Everything that these folders (of runs, sweeps, capacity searches) say beside each other.

    baseline: the label that differences are against (fcfs where there is one, else the first).
    alphas: where goodput is taken (where all runs took it). across: dimensions that the runs may
    differ in; they then stand beside each other under labels that say so.
    Raises UsageError for a folder that is none of the three, for runs that are not alike, and for
    a baseline or an α that cannot be.
    """
    wanted = tuple(check_alpha(alpha) for alpha in alphas or ())
    looked_across = check_dimensions(across)
    given = read(runs, wanted)
    own = _alike(given, looked_across)
    return _assembled(given, own, _terms(own, baseline, wanted, confidence, resamples))


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
    resamples: int,
) -> Terms:
    labels = list(dict.fromkeys(run.backend for run in runs))
    if baseline is not None and baseline not in labels:
        raise unknown_name("baseline", baseline, labels)
    default = DEFAULT_BASELINE if DEFAULT_BASELINE in labels else next(iter(labels), "")
    return Terms(baseline or default, alphas or _alphas_of(runs), confidence, resamples)


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
    draws = {(g.place, g.backend): drawn(g, terms.alphas, terms.resamples) for g in ordered}
    rows = Rows(ordered, draws, terms)
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
        resamples=terms.resamples,
        matrix=matrix,
        estimates=tuple(rows.estimates()),
        differences=tuple(rows.differences()),
        rankings=tuple(_rankings(matrix, first)),
        held={name: held(matrix, name, goodput_name(first)) for name in varied(matrix)},
        curves=tuple(p for g in ordered for p in curve_of(g, terms.confidence, terms.resamples)),
        areas=tuple(area_of(g, draws[g.place, g.backend], terms.confidence) for g in ordered),
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
        cautions=(*cautions_on(given, ordered, terms.baseline), *given_caps(caps_in(matrix))),
    )


def _rankings(matrix: Matrix, alpha: float) -> Iterator[Ranking]:
    for place in matrix.places:
        yield Ranking(place, tuple(ranking(standings(matrix, place, goodput_name(alpha)))))


@dataclass(frozen=True, slots=True)
class Rows:
    """Estimates and differences of groups from their draws."""

    groups: Sequence[Group]
    draws: Mapping[tuple[Place, str], Mapping[str, Drawn]]
    terms: Terms

    def estimates(self) -> Iterator[Estimate]:
        """Every figure of every group, ranked among the groups of its place."""
        ranks = self._ranks()
        for group in self.groups:
            for figure, one in self.draws[group.place, group.backend].items():
                value, low, high = interval(one, self.terms.confidence)
                values = group.values(figure)
                yield Estimate(
                    group.place,
                    group.backend,
                    figure,
                    value,
                    low,
                    high,
                    min(values) if values else None,
                    max(values) if values else None,
                    len(group.runs),
                    ranks.get((group.place, group.backend, figure)),
                )

    def _ranks(self) -> dict[tuple[Place, str, str], int]:
        """1 + how many backends of the place are better; equals share a rank."""
        by_figure: defaultdict[tuple[Place, str], dict[str, float]] = defaultdict(dict)
        for (place, backend), figures in self.draws.items():
            for figure, (value, _) in figures.items():
                if value is not None:
                    by_figure[place, figure][backend] = value
        return {
            (place, backend, figure): 1 + sum(_better(figure, v, value) for v in values.values())
            for (place, figure), values in by_figure.items()
            if figure_of(figure).better is not None
            for backend, value in values.items()
        }

    def differences(self) -> Iterator[Difference]:
        """Every backend against the baseline of its place, figure by figure."""
        for base, other in self._pairs(self.terms.baseline):
            seeds = set(base.seeds) & set(other.seeds)
            yield from self._against(base, other, seeds)

    def _pairs(self, baseline: str) -> Iterator[tuple[Group, Group]]:
        bases = {group.place: group for group in self.groups if group.backend == baseline}
        for group in self.groups:
            base = bases.get(group.place)
            if base is not None and base is not group and set(base.seeds) & set(group.seeds):
                yield base, group

    def _paired(
        self, base: Group, other: Group, seeds: Collection[Seed]
    ) -> tuple[Mapping[str, Drawn], Mapping[str, Drawn]]:
        """The draws of both with the seeds that both have; none for sessions that do not pair."""
        own, theirs = (
            self.draws[g.place, g.backend]
            if len(seeds) == len(g.runs)
            else drawn(g.only(seeds), self.terms.alphas, self.terms.resamples)
            for g in (base, other)
        )
        if len(seeds) == 1 and not same_sessions(base.only(seeds), other.only(seeds)):
            own = {name: Drawn(value, None) for name, (value, _) in own.items()}
        return own, theirs

    def _against(self, base: Group, other: Group, seeds: Collection[Seed]) -> Iterator[Difference]:
        own, theirs = self._paired(base, other, seeds)
        unit = other.only(seeds).unit
        units = len(seeds) if unit == "seed" else len(other.only(seeds).sessions.names)
        for figure in own:
            if figure not in theirs:
                continue
            apart = interval(difference(own[figure], theirs[figure]), self.terms.confidence)
            yield Difference(
                other.place,
                other.backend,
                base.backend,
                figure,
                apart,
                interval(ratio(own[figure], theirs[figure]), self.terms.confidence),
                "unclear" if 1 < len(seeds) < ENOUGH_SEEDS else standing(figure, apart),
                unit,
                units,
            )

    def of_oracle(self, figure: str) -> Iterator[OfOracle]:
        """The ratio of a figure to the oracle's, where the oracle was played."""
        for base, other in self._pairs(ORACLE):
            own, theirs = self._paired(base, other, set(base.seeds) & set(other.seeds))
            if figure in own and figure in theirs:
                share = interval(ratio(own[figure], theirs[figure]), self.terms.confidence)
                yield OfOracle(other.place, other.backend, share)


def _better(figure: str, a: float, b: float) -> bool:
    return a > b if figure_of(figure).better == "higher" else a < b


def standing(figure: str, apart: Interval) -> Standing:
    """Better or worse than the baseline when all of the interval is; else unclear."""
    side = figure_of(figure).better
    if side is None or apart.low is None or apart.high is None or apart.low <= 0 <= apart.high:
        return "unclear"
    return "better" if (apart.low > 0) == (side == "higher") else "worse"
