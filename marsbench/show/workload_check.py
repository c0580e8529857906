"""What a workload's sessions look like, and whether that meets its recipe's targets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from marsbench.core.session import Round, Session
from marsbench.core.workload.exact import Floats, exp, log
from marsbench.core.workload.files import Workload
from marsbench.core.workload.generate import USER
from marsbench.core.workload.recipe import Quantity, Recipe, Target
from marsbench.core.workload.resample import cold
from marsbench.text.numbers import compact
from marsbench_backends import exact

UNITS: dict[Quantity, str] = {
    "first_prompt_tokens": "tokens",
    "rounds": "rounds",
    "append_tokens": "tokens",
    "user_append_tokens": "tokens",
    "output_tokens": "tokens",
    "tool_s": "s",
    "user_s": "s",
    "peak_tokens": "tokens",
    "cut_to_tokens": "tokens",
    "subagents": "sessions",
    "branches": "sessions",
    "cpu_s": "s",
    "interarrival_s": "s",
}
"""Every quantity with its unit, in the order in which they are shown; docs/workloads.md says
what each is taken over."""

FALSE_ALARM = 0.001
"""The chance that one row of a check misses although its target is met exactly at its edge."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A quantity's distribution; a quantile that its count cannot carry is None."""

    quantity: Quantity
    unit: str
    n: int
    mean: float
    p10: float | None
    p50: float
    p90: float | None
    p99: float | None
    max: float


@dataclass(frozen=True, slots=True)
class CheckRow:
    """A target beside what was measured, with the confidence interval of the measured quantile.

    ok: the interval reaches into target x (1 +- within); None when nothing was measured.
    """

    quantity: Quantity
    share: float
    target: float
    within: float
    n: int
    measured: float | None
    low: float | None
    high: float | None
    ok: bool | None

    @property
    def label(self) -> str:
        """For example "rounds p50"."""
        return f"{self.quantity} p{self.share * 100:.0f}"


def measure(workload: Workload) -> dict[Quantity, Floats]:
    """The values of every quantity; sub-agents count in `subagents`, `branches` and `cpu_s`."""
    workload = cold(workload)  # what is left of a session is none of the recipe's
    sessions = workload.sessions
    after_tool, after_user = _appends(sessions)
    calls = [call for s in sessions for rnd in s.rounds for call in rnd.tools]
    values: dict[Quantity, Sequence[float]] = {
        "first_prompt_tokens": [s.rounds[0].append_tokens for s in sessions],
        "rounds": [len(s.rounds) for s in sessions],
        "append_tokens": after_tool,
        "user_append_tokens": after_user,
        "output_tokens": [rnd.output_tokens for s in sessions for rnd in s.rounds],
        "tool_s": [c.alone_s for c in calls if c.child is None and c.name != USER],
        "user_s": [c.alone_s for c in calls if c.name == USER],
        "peak_tokens": [s.peak_tokens for s in sessions],
        "cut_to_tokens": [r.cut.to_tokens for s in sessions for r in s.rounds if r.cut],
        "subagents": [sum(1 for _ in s.walk()) - 1 for s in sessions],
        "branches": [n for s in sessions for n in _branches(s)],
        "cpu_s": [math.fsum(_cpu_s(member) for member in s.walk()) for s in sessions],
        "interarrival_s": _interarrivals(workload),
    }
    return {name: np.asarray(v, dtype=np.float64) for name, v in values.items()}


def cores_asked(workload: Workload) -> float | None:
    """Cores that the tools would keep busy on average while sessions arrive, had they as many.

    Arrival rate x mean CPU-seconds of a session, sub-agents included: above the host's cores,
    calls pile up whatever the scheduler does. None where no rate is known.
    """
    rate = workload.meta.get("rate")
    if workload.lanes is not None or not isinstance(rate, int | float):
        return None
    return float(rate) * float(np.mean(measure(workload)["cpu_s"]))


def describe(workload: Workload) -> list[Quantiles]:
    """A row for every quantity of which the workload has any value."""
    return [_row(name, values) for name, values in measure(workload).items() if values.size]


def check(workload: Workload, recipe: Recipe) -> list[CheckRow]:
    """A row for every target of the recipe and of the tool mix that the workload was made with."""
    mix = workload.meta.get("tools")
    known = isinstance(mix, str) and mix in recipe.tools.mixes
    targets = recipe.all_targets(mix if known else recipe.defaults.tools)  # type: ignore[arg-type]
    measured = measure(workload)
    return [
        _compare(quantity, target, share, value, np.sort(measured[quantity]))
        for quantity, target in targets.items()
        for share, value in target.quantiles()
    ]


def verdict(rows: Sequence[CheckRow], recipe: str) -> str:
    """One line: met, or which targets are missed."""
    judged = [row for row in rows if row.ok is not None]
    missed = [row for row in judged if not row.ok]
    if not missed:
        return f"meets all {len(judged)} targets of {recipe}"
    worst = ", ".join(
        f"{row.label} is {compact(row.measured)}, not {compact(row.target)} ±{row.within:.0%}"
        for row in missed
    )
    return f"misses {len(missed)} of {len(judged)} targets of {recipe}: {worst}"


def order_band(n: int, share: float, alpha: float = FALSE_ALARM) -> tuple[int, int]:
    """Ranks (from 1) between which the quantile lies with probability 1 - alpha.

    The number of values below the true quantile is binomial, whatever the distribution. Rank 0
    and n + 1 mean that the sample cannot bound it.
    """
    counts = np.arange(n + 1)
    # ln n!, for n up to the largest sample, without leaving the range of doubles.
    log_factorial = np.concatenate([[0.0], np.cumsum(log(np.arange(1.0, n + 1)))])
    log_choose = log_factorial[n] - log_factorial - log_factorial[::-1]
    log_share, log_rest = exact.log(share), exact.log(1 - share)
    cdf = np.cumsum(exp(log_choose + counts * log_share + (n - counts) * log_rest))
    low = int(np.searchsorted(cdf, alpha / 2))
    high = int(np.searchsorted(cdf, 1 - alpha / 2)) + 1
    return low, min(high, n + 1)


def _compare(
    quantity: Quantity, target: Target, share: float, value: float, ordered: Floats
) -> CheckRow:
    n = ordered.size
    if n == 0:
        return CheckRow(quantity, share, value, target.within, 0, None, None, None, None)
    below, above = order_band(n, share)
    low = float(ordered[below - 1]) if below >= 1 else None
    high = float(ordered[above - 1]) if above <= n else None
    # A false alarm needs the true quantile outside the tolerance or bad luck of FALSE_ALARM.
    ok = (low is None or low <= value * (1 + target.within)) and (
        high is None or high >= value * (1 - target.within)
    )
    measured = float(np.quantile(ordered, share))
    return CheckRow(quantity, share, value, target.within, n, measured, low, high, ok)


def _row(quantity: Quantity, values: Floats) -> Quantiles:
    n = values.size
    p10, p50, p90, p99 = (float(v) for v in np.quantile(values, [0.1, 0.5, 0.9, 0.99]))
    # A P99 of forty values is their maximum; one value beyond is the least that it needs.
    tenth, hundredth = n >= 10, n >= 100
    return Quantiles(
        quantity,
        UNITS[quantity],
        n,
        float(values.mean()),
        p10 if tenth else None,
        p50,
        p90 if tenth else None,
        p99 if hundredth else None,
        float(values.max()),
    )


def _appends(sessions: Sequence[Session]) -> tuple[list[float], list[float]]:
    """What was appended after tools, and after a user's gap; first prompts left out."""
    after_tool: list[float] = []
    after_user: list[float] = []
    for session in sessions:
        for before, rnd in _pairs(session):
            is_user = any(call.name == USER for call in before.tools)
            (after_user if is_user else after_tool).append(rnd.append_tokens)
    return after_tool, after_user


def _branches(session: Session) -> Iterator[int]:
    """Sub-agents that start together, after each round that starts several, at any depth."""
    for member in session.walk():
        for rnd in member.rounds:
            count = sum(call.child is not None for call in rnd.tools)
            if count > 1:
                yield count


def _pairs(session: Session) -> Iterator[tuple[Round, Round]]:
    return pairwise(session.rounds)


def _cpu_s(session: Session) -> float:
    return math.fsum(call.cpu_s for rnd in session.rounds for call in rnd.tools)


def _interarrivals(workload: Workload) -> list[float]:
    if workload.lanes is not None:
        return []
    times = sorted(session.arrival_s for session in workload.sessions)
    return [later - earlier for earlier, later in pairwise(times)]
