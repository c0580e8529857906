"""What a gate is asked and what it answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from marsbench.errors import MarsbenchError
from marsbench.judge.compare.figures import Figure
from marsbench.judge.compare.kinds import Better
from marsbench.judge.intervals import Interval, check_confidence
from marsbench.text.numbers import UNMEASURED

Verdict = Literal["pass", "fail", "inconclusive"]

EXIT: dict[Verdict, int] = {"pass": 0, "fail": 1, "inconclusive": 2}
CONFIDENCE = 0.95


class GateError(MarsbenchError):
    """Nothing can be judged: bad input or a run that does not count. Exit code 3, since here 2
    says inconclusive."""

    exit_code = 3


class Margin(NamedTuple):
    """How much worse still passes: a share of the baseline, or an amount in the figure's unit."""

    size: float
    relative: bool

    def __str__(self) -> str:
        return f"{self.size:.4g}" if not self.relative else f"{self.size * 100:.4g}%"


@dataclass(frozen=True, slots=True)
class Rule:
    """One figure that may not get worse by more than a margin."""

    figure: Figure
    better: Better
    margin: Margin


EXACTLY = Rule(Figure("exact"), "lower", Margin(0.0, relative=False))
"""The rule of the exact gate: it is on no figure of a run."""


def as_change(value: float | None, rule: Rule) -> str:
    """A change as the rule's margin measures it: "-4.1%", "+0.0213", "+∞"."""
    if value is None:
        return UNMEASURED
    if math.isinf(value):
        return "+∞" if value > 0 else "-∞"
    return f"{value:+.1%}" if rule.margin.relative else f"{value:+.4g}"


@dataclass(frozen=True, slots=True)
class GateRules:
    """Everything that a gate checks. confidence: of each verdict, one-sided.

    Raises UsageError for a confidence that is none.
    """

    rules: tuple[Rule, ...]
    confidence: float = CONFIDENCE

    def __post_init__(self) -> None:
        check_confidence(self.confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCheck:
    """A rule at one place: what was found and what it comes to.

    place, backend: where; backend is the candidate's label. baseline, candidate: means.
    change: of the typical seed, the candidate against the baseline, relative (−0.05 is 5 % less)
    or absolute as the margin is, with bounds at the rule's confidence on each side. of_means: that
    of the means. seeds: how many were paired. why: the verdict in one sentence.
    """

    place: str
    backend: str
    rule: Rule
    baseline: float | None
    candidate: float | None
    change: Interval
    of_means: float | None
    seeds: int
    verdict: Verdict
    why: str

    @property
    def where(self) -> str:
        """ "mars on ilr-1 at load 0.9"."""
        return f"{self.backend} on {self.place}" if self.backend else self.place


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """The verdict for all checks: the worst of theirs.

    cautions: one sentence each. notes: where two vLLMs first decided otherwise.
    """

    baseline: str
    candidate: str
    verdict: Verdict
    confidence: float
    checks: tuple[GateCheck, ...]
    cautions: tuple[str, ...]
    exact: bool = False
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 2 inconclusive."""
        return EXIT[self.verdict]
