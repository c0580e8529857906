"""Three verdicts: as good within the margin, worse than the margin, or not known yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
from marsbench.judge.gate.pairs import Pair, pairs_of
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


@dataclass(frozen=True, slots=True)
class Evidence:
    """A rule at a pair before its verdict.

    means: None where the figure was not measured in every run. change: None there, and where it
    would be a share of nothing. doubt: the p-value of "worse than the margin"; 1 where nothing is
    known.
    """

    pair: Pair
    rule: Rule
    means: tuple[float, float] | None
    change: Change | None
    doubt: float

    @property
    def num_seeds(self) -> int:
        return len(self.pair.base.seeds)


def gate(baseline: Path, candidate: Path, rules: GateRules) -> GateReport:
    """Every rule at every point that the baseline has.

    Raises GateError when nothing can be judged: a folder that is none, a run that is missing or
    not valid, other sessions, hardware or engine settings than the baseline's.
    """
    alphas = sorted({r.figure.alpha for r in rules.rules if r.figure.alpha is not None})
    pairs = pairs_of(baseline, candidate, alphas)
    found = [_evidence(pair, rule, rules.confidence) for pair in pairs for rule in rules.rules]
    verdicts = judged(found, rules.confidence)
    checks = tuple(_check(one, v, rules.confidence) for one, v in zip(found, verdicts, strict=True))
    return GateReport(
        baseline=str(baseline),
        candidate=str(candidate),
        verdict=worst([check.verdict for check in checks]),
        confidence=rules.confidence,
        checks=checks,
        cautions=(),
    )


def _evidence(pair: Pair, rule: Rule, confidence: float) -> Evidence:
    sides = pair.sides(rule.figure)
    if sides is None:
        return Evidence(pair, rule, None, None, 1.0)
    base, other = sides
    change = change_of(base, other, rule)
    doubt = doubt_of(change, rule, confidence)
    return Evidence(pair, rule, (mean(base), mean(other)), change, doubt)


def change_of(base: Sequence[float], other: Sequence[float], rule: Rule) -> Change | None:
    """The change as the rule's margin measures it; None where it is a share of nothing."""
    return (relative if rule.margin.relative else absolute)(base, other)


def doubt_of(change: Change | None, rule: Rule, confidence: float) -> float:
    """The p-value of "worse than the margin"; 1 where nothing is known."""
    if change is None:
        return 1.0
    return doubt_above(worse(change, rule), rule.margin.size, confidence)


def worse(change: Change, rule: Rule) -> Change:
    """The change with the bad direction up."""
    return change if rule.better == "lower" else reversed_(change)


def judged(found: Sequence[Evidence], confidence: float) -> list[Verdict]:
    """A verdict for each.

    One fail among many checks fails them all, so their doubts are Holm-corrected: whatever the
    number of checks, all that are within the margin are called failed at most 1 − confidence of
    the time. A pass needs every check to pass, which needs no correction.
    """
    failed = holm([one.doubt for one in found], 1 - confidence)
    return [
        "fail" if fail else "pass" if passes(one.change, one.rule, confidence) else "inconclusive"
        for one, fail in zip(found, failed, strict=True)
    ]


def verdict_of(
    base: Sequence[float], other: Sequence[float], rule: Rule, confidence: float
) -> Verdict:
    """The verdict of one check alone, from its paired samples."""
    change = change_of(base, other, rule)
    if doubt_of(change, rule, confidence) <= 1 - confidence:
        return "fail"
    return "pass" if passes(change, rule, confidence) else "inconclusive"


def holm(doubts: Sequence[float], level: float) -> list[bool]:
    """Which of them are rejected at this family-wise level (Holm, 1979)."""
    rejected = [False] * len(doubts)
    for rank, place in enumerate(sorted(range(len(doubts)), key=lambda i: doubts[i])):
        if doubts[place] > level / (len(doubts) - rank):
            break
        rejected[place] = True
    return rejected


def passes(change: Change | None, rule: Rule, confidence: float) -> bool:
    """Whether the whole interval is within the margin, and the change of the means."""
    if change is None:
        return False
    return stays_within(worse(change, rule), rule.margin.size, confidence)


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Fail before inconclusive before pass. Raises GateError when there was nothing to judge."""
    if not verdicts:
        raise GateError("There is no rule to judge; give --metric or --rules.")
    order: Mapping[Verdict, int] = {"pass": 0, "inconclusive": 1, "fail": 2}
    assert set(order) == set(EXIT)
    return max(verdicts, key=lambda verdict: order[verdict])


def _check(one: Evidence, verdict: Verdict, confidence: float) -> GateCheck:
    bounds = UNKNOWN if one.change is None else interval(one.change, confidence)
    baseline, candidate = one.means or (None, None)
    group = one.pair.other
    return GateCheck(
        place=group.place.title,
        backend=group.backend,
        rule=one.rule,
        baseline=baseline,
        candidate=candidate,
        change=bounds,
        of_means=None if one.change is None else one.change.of_means,
        seeds=one.num_seeds,
        verdict=verdict,
        why=_why(one, verdict, bounds, confidence),
    )


def _why(one: Evidence, verdict: Verdict, bounds: Interval, confidence: float) -> str:
    if one.change is None:
        return _lack(one)
    label = one.rule.figure.label
    side = "higher" if one.rule.better == "lower" else "lower"
    told = f"{label} of the typical seed changed by {_spoken(one, bounds)}"
    if verdict == "pass":
        return f"{told}: surely not {side} by more than {one.rule.margin}"
    if verdict == "fail":
        return f"{told}: surely {side} by more than {one.rule.margin}"
    return f"{told}: {_open(one, side, confidence)}"


def _lack(one: Evidence) -> str:
    """Why there is no change at all."""
    if one.means is None:
        return f"{one.rule.figure} was not measured in every run"
    return (
        f"{one.rule.figure} of the baseline is 0, of which {one.rule.margin} is nothing; "
        "give an absolute margin"
    )


def _spoken(one: Evidence, bounds: Interval) -> str:
    """ "+3.1% (+1.0% to +5.2%, 8 seeds)"."""
    value, low, high = (as_change(bound, one.rule) for bound in bounds)
    seeds = "1 seed" if one.num_seeds == 1 else f"{one.num_seeds} seeds"
    between = "" if bounds.low is None else f"{low} to {high}, "
    return f"{value} ({between}{seeds})"


def _open(one: Evidence, side: str, confidence: float) -> str:
    """Why nothing is sure, and what would make it so."""
    needed = fewest(two_sided(confidence))
    if one.num_seeds < needed:
        return f"below {needed} seeds nothing is sure; run {needed} or more"
    assert one.change is not None
    beyond = exceeds(worse(one.change, one.rule).of_means, one.rule.margin.size)
    means = as_change(one.change.of_means, one.rule)
    if beyond and stays_typical(one, confidence):
        return f"but the mean changed by {means}, in few seeds; run more seeds"
    return f"{one.rule.margin} {side} is neither ruled out nor certain; run more seeds"


def stays_typical(one: Evidence, confidence: float) -> bool:
    """Whether the typical seed alone would pass."""
    assert one.change is not None
    high = interval(worse(one.change, one.rule), confidence).high
    return high is not None and not exceeds(high, one.rule.margin.size)
