"""What berth, which is marsbench's own, reaches beside the best of all others, cell by cell.

A referee with a contender of its own owes more about it than about the others: the targets that it
was built for, each as it came out, and what it costs those who are not the mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from marsbench.judge.compare.figures import GOODPUT, LATENCY
from marsbench.judge.compare.points import MatrixPoint, Place, by_seed, pair_of, place_of
from marsbench.judge.compare.winners import WORST
from marsbench.judge.intervals import mean
from marsbench.judge.sweep.folder import Result
from marsbench.text.numbers import fixed, percent, times
from marsbench.text.tables import Table
from studies.map.standing import CAP, Standing, regret

OURS = "berth"
NEAR_POINTS, NEAR_TIMES = 0.02, 1.05
"""The targets: within 2 points of the highest goodput(3), within 5 % of the least latency."""
MARGIN = 0.1
"""The sweep's: who is further behind at the first seed gets no second one."""
PARTS = {"memory": "memory", "cpu": "cores", "give-up": "giving up", "host": "host memory"}
"""By the label of the ablation: `berth-no-memory` …"""


class Lead(NamedTuple):
    """Over another by one figure, means over the seeds that both have.

    by: share of goodput(3), or the other's mean latency ÷ berth's. always: at every seed of
    several, or at the one by more than the margin beyond which no more seeds were asked for.
    """

    other: str
    by: float
    always: bool


@dataclass(frozen=True, slots=True)
class Against:
    """A cell. contended: `fcfs` takes over 5 % longer there than the best does. ahead: of
    everybody, in goodput(3), or level in it and quicker, and that at every seed.

    worst: the highest slowdown, of berth and of the best cap. large: goodput(3) of the quarter of
    sessions with the longest contexts, of the same two.
    """

    one: Standing
    goodput: float
    seeds: int
    points: Lead
    latency: Lead
    contended: bool
    ahead: bool
    worst: tuple[float | None, float | None]
    large: tuple[float | None, float | None]


def against(standings: Sequence[Standing], results: Sequence[Result]) -> list[Against]:
    """Every cell that berth was played in."""
    runs: dict[tuple[Place, str], Result] = {}
    for result in sorted(results, key=lambda one: by_seed(one.place["seed"]), reverse=True):
        runs[place_of(result), str(result.place["backend"])] = result
    return [found for one in standings if (found := _against(one, runs)) is not None]


def _against(one: Standing, runs: Mapping[tuple[Place, str], Result]) -> Against | None:
    own = one.points.get(OURS)
    others = [one.points[name] for name in one.contenders if name != OURS]
    if own is None or not others or (goodput := own.mean(GOODPUT)) is None:
        return None
    capped = one.points.get(CAP)
    plain = one.regrets.get("fcfs")
    return Against(
        one=one,
        goodput=goodput,
        seeds=len(own.seeds),
        points=min((_points(own, other) for other in others), key=lambda lead: lead.by),
        latency=min((_times(own, other) for other in others), key=lambda lead: lead.by),
        contended=plain is not None and plain.times > NEAR_TIMES,
        ahead=all(_is_ahead(own, other) for other in others),
        worst=(own.mean(WORST), None if capped is None else capped.mean(WORST)),
        large=(_large(runs.get((one.place, OURS))), _large(runs.get((one.place, one.cap or "")))),
    )


def _is_ahead(own: MatrixPoint, other: MatrixPoint) -> bool:
    points, latency = _points(own, other), _times(own, other)
    return points.always or (abs(points.by) <= NEAR_POINTS and latency.always)


def _points(own: MatrixPoint, other: MatrixPoint) -> Lead:
    mine, theirs = _sides(own, other, is_goodput=True)
    each = [a - b for a, b in zip(mine, theirs, strict=True)]
    return Lead(other.backend, mean(each), min(each) > (0.0 if len(each) > 1 else MARGIN))


def _times(own: MatrixPoint, other: MatrixPoint) -> Lead:
    mine, theirs = _sides(own, other, is_goodput=False)
    each = [b / a for a, b in zip(mine, theirs, strict=True)]
    always = min(each) > (1.0 if len(each) > 1 else 1.0 + MARGIN)
    return Lead(other.backend, mean(theirs) / mean(mine), always)


def _sides(
    own: MatrixPoint, other: MatrixPoint, *, is_goodput: bool
) -> tuple[list[float], list[float]]:
    pair = pair_of(own, other)
    sides = None if pair is None else pair.sides(GOODPUT if is_goodput else LATENCY)
    assert sides is not None  # all of a cell have its first seed, and these figures
    return sides


def _large(result: Result | None) -> float | None:
    """goodput(3) of the quarter with the longest contexts, of the first seed."""
    if result is None:
        return None
    table = result.run.table("sessions")
    roots = table[table["parent"].isna() & table["ideal_s"].notna()]
    large = roots[roots["peak_tokens"] >= roots["peak_tokens"].quantile(0.75)]
    return float((large["slowdown"] <= 3.0).mean()) if len(large) else None


# --- as the page has it


def targets(found: Sequence[Against], *, hosted: bool = False) -> Iterator[str]:
    """Each target, and how far it was reached. hosted: all have vLLM's own host memory."""
    if not found:
        yield "`berth` was not played."
        return
    of, contended = len(found), [one for one in found if one.contended]
    near = [one for one in found if one.points.by >= -NEAR_POINTS]
    quick = [one for one in found if one.latency.by * NEAR_TIMES >= 1]
    last, slowest = min(found, key=_goodput), min(found, key=_latency)
    yield (
        f"goodput(3) within 2 points of the highest other: {len(near)} of {of} cells; furthest "
        f"behind {_signed(last.points.by)} ({last.one.world.title}, `{last.points.other}`)."
    )
    yield (
        f"Mean latency within 5 % of the least other: {len(quick)} of {of} cells; furthest behind "
        f"{times(1 / slowest.latency.by, 2)} ({slowest.one.world.title}, "
        f"`{slowest.latency.other}`)."
    )
    ahead = [one for one in contended if one.ahead]
    yield (
        f"Ahead of everybody at every seed, in goodput(3) or level in it and quicker: "
        f"{len(ahead)} of {len(contended)} contended cells; where there is one seed, by more than "
        "10 points or 10 %."
    )
    yield from _means(contended, hosted)
    yield from _costs(found)


def _means(contended: Sequence[Against], hosted: bool) -> Iterator[str]:
    recorded = [
        own.times / one.one.regrets[OURS].times
        for one in contended
        if one.one.world.pauses == "recorded" and (own := one.one.regrets.get("mars"))
    ]
    if recorded:
        yield (
            f"Mean latency of `mars` ÷ its own with recorded pauses: {_geometric(recorded)} over "
            f"{len(recorded)} contended cells (target 1.5). "
            + ("Both have the same host memory." if hosted else "`mars` has no host memory there.")
        )
    if contended:
        yield (
            "Least mean latency of all others ÷ its own: "
            f"{_geometric([one.latency.by for one in contended])} over {len(contended)} contended "
            "cells (target 1.1); the others' is the least of any, however few of its sessions "
            "are good."
        )


def _costs(found: Sequence[Against]) -> Iterator[str]:
    worst = [one for one in found if None not in one.worst]
    no_worse = [one for one in worst if one.worst[0] <= one.worst[1]]  # type: ignore[operator]
    large = [one for one in found if None not in one.large]
    as_good = [one for one in large if one.large[0] >= one.large[1]]  # type: ignore[operator]
    yield (
        f"Worst slowdown no worse than the best cap's: {len(no_worse)} of {len(worst)} cells. "
        f"goodput(3) of the quarter of sessions with the longest contexts no worse: "
        f"{len(as_good)} of {len(large)}, of the first seed."
    )


def _geometric(ratios: Sequence[float]) -> str:
    return times(math.exp(mean([math.log(one) for one in ratios])), 2)


def _goodput(one: Against) -> float:
    return one.points.by


def _latency(one: Against) -> float:
    return one.latency.by


def _signed(points: float) -> str:
    return f"{100 * points:+.1f} points"


def table(found: Sequence[Against]) -> Table:
    """A row a cell."""
    head = (
        "cell", "seeds", "goodput(3)", "points ahead", "of", "latency: theirs ÷ its", "of",
        "worst slowdown (cap's)", "large sessions good (cap's)",
    )  # fmt: skip
    return Table(head, [_told(one) for one in found], "lrrrlrlrr")


def _told(one: Against) -> tuple[str, ...]:
    return (
        one.one.world.title,
        str(one.seeds),
        percent(one.goodput),
        f"{100 * one.points.by:+.1f}",
        one.points.other,
        times(one.latency.by, 2),
        one.latency.other,
        f"{fixed(one.worst[0])} ({fixed(one.worst[1])})",
        f"{percent(one.large[0])} ({percent(one.large[1])})",
    )


def worths(standings: Sequence[Standing]) -> Table:
    """Of each part: mean latency without it ÷ that of the whole, and goodput(3) that is gained."""
    rows = [
        (one.world.title, *(_worth(one, part) for part in PARTS))
        for one in standings
        if any(f"{OURS}-no-{part}" in one.points for part in PARTS)
    ]
    return Table(("cell", *(f"without {told}" for told in PARTS.values())), rows, "l")


def _worth(one: Standing, part: str) -> str | None:
    base, without = one.points.get(OURS), one.points.get(f"{OURS}-no-{part}")
    if base is None or without is None:
        return None
    found = regret(base, without)
    return f"{times(found.times, 3)} ({-100 * found.points:+.0f})"
