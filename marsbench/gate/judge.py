"""Three verdicts: as good within the margin, worse than the margin, or not known yet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marsbench.compare.figures import figure_of
from marsbench.compare.groups import same_sessions
from marsbench.compare.sessions import one_each
from marsbench.compare.values import Interval, Unit
from marsbench.gate.paired import Change, absolute, doubt_above, interval, relative
from marsbench.gate.pairs import Pair, pairs_of, samples
from marsbench.gate.values import EXIT, Check, GateError, GateReport, Rule, Rules, Verdict


@dataclass(frozen=True, slots=True)
class Found:
    """A rule at a pair before its verdict: the change, and why there is none where there is none.

    doubt: the p-value of "worse than the margin"; 1 where nothing is known.
    """

    pair: Pair
    rule: Rule
    means: tuple[float, float] | None
    change: Change | None
    unit: Unit
    units: int
    doubt: float
    why: str


def gate(baseline: Path, candidate: Path, rules: Rules) -> GateReport:
    """Every rule at every point that the baseline has.

    Raises GateError when nothing can be judged: a folder that is none, a run that is missing or
    not valid, other sessions, hardware or engine settings than the baseline's.
    """
    alphas = sorted({alpha for rule in rules.rules for alpha in _alphas(rule.figure)})
    pairs = pairs_of(baseline, candidate, alphas)
    found = [_found(pair, rule) for pair in pairs for rule in rules.rules]
    verdicts = judged(found, rules.confidence)
    checks = tuple(_check(one, v, rules.confidence) for one, v in zip(found, verdicts, strict=True))
    return GateReport(
        baseline=str(baseline),
        candidate=str(candidate),
        verdict=worst([check.verdict for check in checks]),
        confidence=rules.confidence,
        checks=checks,
        cautions=tuple(_cautions(pairs)),
    )


def _alphas(figure: str) -> Iterator[float]:
    alpha = figure.removeprefix("goodput_rate_").removeprefix("goodput_")
    if alpha != figure and alpha.replace(".", "", 1).isdigit():
        yield float(alpha)


def _found(pair: Pair, rule: Rule) -> Found:
    pair_samples = samples(pair, rule.figure)
    seeds = len(pair.base.runs)
    if pair_samples is None:
        why = f"{rule.figure} was not measured in every run"
        return Found(pair, rule, None, None, "seed", seeds, 1.0, why)
    means = tuple(math.fsum(side) / len(side) for side in pair_samples)
    assert len(means) == 2
    unit: Unit = "seed"
    if seeds == 1:
        by_session = _by_session(pair, rule.figure)
        if by_session is not None:
            pair_samples, unit = by_session, "session"
    change = change_of(*pair_samples, rule)
    units, doubt = len(pair_samples[0]), doubt_of(change, rule)
    return Found(pair, rule, means, change, unit, units, doubt, _lack(change, rule))


def _by_session(pair: Pair, figure: str) -> tuple[list[float], list[float]] | None:
    """The one seed's sessions, where the figure is a mean over them and both sides have all."""
    if not same_sessions(pair.base, pair.other):
        return None
    sides = [next(iter(group.runs.values())).sessions for group in (pair.base, pair.other)]
    columns = [one_each(figure, sessions) for sessions in sides]
    if columns[0] is None or columns[1] is None or len(columns[0]) < 2:
        return None
    return columns[0], columns[1]


def _lack(change: Change | None, rule: Rule) -> str:
    """Why there is no interval; empty where there is one."""
    if change is None:
        return (
            f"{rule.figure} of the baseline is 0, of which {rule.margin} is nothing; "
            "give an absolute margin"
        )
    if change.error is None:
        return f"one seed, and {rule.figure} is no mean over its sessions; run several seeds"
    return ""


def change_of(base: Sequence[float], other: Sequence[float], rule: Rule) -> Change | None:
    """The change as the rule's margin measures it; None where the baseline is 0."""
    return (relative if rule.margin.relative else absolute)(base, other)


def doubt_of(change: Change | None, rule: Rule) -> float:
    """The p-value of "worse than the margin"; 1 where nothing is known."""
    return 1.0 if change is None else doubt_above(worse(change, rule), rule.margin.size)


def worse(change: Change, rule: Rule) -> Change:
    """The change with the bad direction up."""
    sign = 1 if rule.better == "lower" else -1
    return change._replace(value=sign * change.value)


def judged(found: Sequence[Found], confidence: float) -> list[Verdict]:
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
    if doubt_of(change, rule) <= 1 - confidence:
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
    """Whether the whole interval is within the margin; its very edge still is."""
    if change is None:
        return False
    high = interval(worse(change, rule), confidence).high
    return high is not None and high <= rule.margin.size


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Fail before inconclusive before pass. Raises GateError when there was nothing to judge."""
    if not verdicts:
        raise GateError("There is no rule to judge; give --metric or --rules.")
    order: Mapping[Verdict, int] = {"pass": 0, "inconclusive": 1, "fail": 2}
    assert set(order) == set(EXIT)
    return max(verdicts, key=lambda verdict: order[verdict])


def _check(one: Found, verdict: Verdict, confidence: float) -> Check:
    bounds = Interval(None, None, None) if one.change is None else interval(one.change, confidence)
    baseline, candidate = one.means or (None, None)
    group = one.pair.other
    return Check(
        place=group.place.title,
        backend=group.backend,
        rule=one.rule,
        baseline=baseline,
        candidate=candidate,
        change=bounds,
        unit=one.unit,
        units=one.units,
        verdict=verdict,
        why=_why(one, verdict, bounds),
    )


def _why(one: Found, verdict: Verdict, bounds: Interval) -> str:
    if bounds.low is None or bounds.high is None or bounds.value is None:
        return one.why
    form = "{:+.1%}" if one.rule.margin.relative else "{:+.4g}"
    value, low, high = (form.format(bound) for bound in bounds)
    label = figure_of(one.rule.figure).label
    side = "higher" if one.rule.better == "lower" else "lower"
    told = f"{label} changed by {value} ({low} to {high}, {one.units} {one.unit}s)"
    if verdict == "pass":
        return f"{told}: surely not {side} by more than {one.rule.margin}"
    if verdict == "fail":
        return f"{told}: surely {side} by more than {one.rule.margin}"
    return f"{told}: {one.rule.margin} {side} is neither ruled out nor certain; run more seeds"


def _cautions(pairs: Sequence[Pair]) -> Iterator[str]:
    if any(len(pair.base.runs) == 1 for pair in pairs):
        yield (
            "With one seed the sessions of one run are the sample; they wait in one queue, so the "
            "interval is narrower than repeated runs would show: run several seeds."
        )
