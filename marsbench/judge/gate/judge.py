"""Three verdicts: as good within the margin, worse than the margin, or not known yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from marsbench.judge.compare.points import Pair
from marsbench.judge.gate.change import (
    Change,
    absolute,
    doubt_above,
    exceeds,
    interval,
    relative,
    reversed_,
    stays_within,
    two_sided,
)
from marsbench.judge.gate.pairs import pairs_of
from marsbench.judge.gate.values import (
    EXIT,
    GateCheck,
    GateError,
    GateReport,
    GateRules,
    Rule,
    Verdict,
    as_change,
)
from marsbench.judge.intervals import UNKNOWN, Interval, fewest, mean


@dataclass(frozen=True)
class Evidence:
    """What the paired seeds say of a rule, before its verdict.

    sides: the figure of the baseline and of the candidate, a number a seed each; None where it was
    not measured in every run.
    """

    rule: Rule
    sides: tuple[Sequence[float], Sequence[float]] | None
    confidence: float

    @cached_property
    def change(self) -> Change | None:
        """As the rule's margin measures it; None where it would be a share of nothing, too."""
        measure = relative if self.rule.margin.relative else absolute
        return None if self.sides is None else measure(*self.sides)

    @cached_property
    def worse(self) -> Change | None:
        """The change with the bad direction up."""
        change = self.change
        return change if change is None or self.rule.better == "lower" else reversed_(change)

    @property
    def doubt(self) -> float:
        """The p-value of "worse than the margin"; 1 where nothing is known."""
        worse, limit = self.worse, self.rule.margin.size
        return 1.0 if worse is None else doubt_above(worse, limit, self.confidence)

    @property
    def passes(self) -> bool:
        """Whether the whole interval is within the margin, and the change of the means."""
        worse, limit = self.worse, self.rule.margin.size
        return worse is not None and stays_within(worse, limit, self.confidence)


def gate(baseline: Path, candidate: Path, rules: GateRules) -> GateReport:
    """Every rule at every point that the baseline has.

    Raises GateError when nothing can be judged: a folder that is none, a run that is missing or
    not valid, other sessions, hardware or engine settings than the baseline's.
    """
    alphas = sorted({r.figure.alpha for r in rules.rules if r.figure.alpha is not None})
    pairs, cautions = pairs_of(baseline, candidate, alphas)
    asked = [(pair, rule) for pair in pairs for rule in rules.rules]
    evidence = [Evidence(rule, pair.sides(rule.figure), rules.confidence) for pair, rule in asked]
    verdicts = judged(evidence, rules.confidence)
    checks = tuple(
        _check(pair, one, verdict)
        for (pair, _), one, verdict in zip(asked, evidence, verdicts, strict=True)
    )
    return GateReport(
        baseline=str(baseline),
        candidate=str(candidate),
        verdict=worst([check.verdict for check in checks]),
        confidence=rules.confidence,
        checks=checks,
        cautions=cautions,
    )


def judged(evidence: Sequence[Evidence], confidence: float) -> list[Verdict]:
    """A verdict for each.

    One fail among many checks fails them all, so their doubts are Holm-corrected: whatever the
    number of checks, all that are within the margin are called failed at most 1 − confidence of
    the time. A pass needs every check to pass, which needs no correction.
    """
    failed = holm([one.doubt for one in evidence], 1 - confidence)
    return [
        "fail" if fail else "pass" if one.passes else "inconclusive"
        for one, fail in zip(evidence, failed, strict=True)
    ]


def verdict_of(
    base: Sequence[float], other: Sequence[float], rule: Rule, confidence: float
) -> Verdict:
    """The verdict of one check alone, from its paired samples."""
    return judged([Evidence(rule, (base, other), confidence)], confidence)[0]


def holm(doubts: Sequence[float], level: float) -> list[bool]:
    """Which of them are rejected at this family-wise level (Holm, 1979)."""
    rejected = [False] * len(doubts)
    for rank, place in enumerate(sorted(range(len(doubts)), key=lambda i: doubts[i])):
        if doubts[place] > level / (len(doubts) - rank):
            break
        rejected[place] = True
    return rejected


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Fail before inconclusive before pass. Raises GateError when there was nothing to judge."""
    if not verdicts:
        raise GateError("There is no rule to judge; give --metric or --rules.")
    order: Mapping[Verdict, int] = {"pass": 0, "inconclusive": 1, "fail": 2}
    assert set(order) == set(EXIT)
    return max(verdicts, key=lambda verdict: order[verdict])


def _check(pair: Pair, one: Evidence, verdict: Verdict) -> GateCheck:
    change, seeds = one.change, len(pair.base.seeds)
    bounds = UNKNOWN if change is None else interval(change, one.confidence)
    baseline, candidate = (None, None) if one.sides is None else map(mean, one.sides)
    return GateCheck(
        place=pair.other.place.title,
        backend=pair.other.backend,
        rule=one.rule,
        baseline=baseline,
        candidate=candidate,
        change=bounds,
        of_means=None if change is None else change.of_means,
        seeds=seeds,
        verdict=verdict,
        why=_why(one, verdict, bounds, seeds),
    )


def _why(one: Evidence, verdict: Verdict, bounds: Interval, seeds: int) -> str:
    rule = one.rule
    if one.sides is None:
        return f"{rule.figure} was not measured in every run"
    if one.worse is None:
        return (
            f"{rule.figure} of the baseline is 0, of which {rule.margin} is nothing; "
            "give an absolute margin"
        )
    value, low, high = (as_change(bound, rule) for bound in bounds)
    between = "" if bounds.low is None else f"{low} to {high}, "
    have = "1 seed" if seeds == 1 else f"{seeds} seeds"
    head = f"{rule.figure.label} of the typical seed changed by {value} ({between}{have})"
    side = "higher" if rule.better == "lower" else "lower"
    if verdict == "inconclusive":
        return f"{head}: {_open(one, one.worse, side, seeds)}"
    surely = "surely not" if verdict == "pass" else "surely"
    return f"{head}: {surely} {side} by more than {rule.margin}"


def _open(one: Evidence, worse: Change, side: str, seeds: int) -> str:
    """Why nothing is sure, and what would make it so."""
    needed = fewest(two_sided(one.confidence))
    if seeds < needed:
        return f"below {needed} seeds nothing is sure; run {needed} or more"
    limit, high = one.rule.margin.size, interval(worse, one.confidence).high
    if exceeds(worse.of_means, limit) and high is not None and not exceeds(high, limit):
        of_means = worse.of_means if one.rule.better == "lower" else -worse.of_means
        means = as_change(of_means, one.rule)
        return f"but the mean changed by {means}, in few seeds; run more seeds"
    return f"{one.rule.margin} {side} is neither ruled out nor certain; run more seeds"
