"""Who pays: slowdown by size and by tenant, how even it is, and who was starved."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from marsbench.core.metrics.fairness import SLICES, jain
from marsbench.core.metrics.goodput import goodput
from marsbench.core.metrics.percentiles import describe
from marsbench.core.metrics.sessions import SessionRecord
from marsbench.core.metrics.summary import Summary
from marsbench.judge.compare.points import Where
from marsbench.judge.compare.values import Fairness, SizeRow, TenantRow

SMALL, MIDDLE, LONG, OVER = "small", "middle", "long", "over 50k"
LONG_TOKENS = 50_000
"""Where the released MARS begins to hold sessions back as long (its gate's threshold)."""
STARVED = 10.0
"""Times as long as alone: past this a session that did finish counts as starved."""

Sessions = Sequence[SessionRecord]
Groups = Mapping[str, Sessions]
Shares = tuple[float | None, float | None, float | None]
"""Of all service: of the whole run, and of the tenths with the lowest and the highest."""


def sizes(sessions: Sessions) -> Groups:
    """The sessions of each size, by their longest context.

    small, middle and long are thirds of the workload's own sessions, so that they say something of
    every workload; ties go by name. Over 50k are those whose context passed 50,000 tokens,
    whichever third they are in.
    """
    order = sorted(sessions, key=lambda s: (s.peak_tokens is None, s.peak_tokens or 0, s.session))
    thirds: dict[str, list[SessionRecord]] = {SMALL: [], MIDDLE: [], LONG: []}
    for rank, session in enumerate(order):
        thirds[(SMALL, MIDDLE, LONG)[rank * 3 // len(order)]].append(session)
    return {**thirds, OVER: [s for s in sessions if (s.peak_tokens or 0) > LONG_TOKENS]}


def tenants(sessions: Sessions) -> Groups:
    """The sessions of each tenant; empty with one tenant."""
    names = sorted({s.tenant for s in sessions})
    if len(names) < 2:
        return {}
    return {name: [s for s in sessions if s.tenant == name] for name in names}


def size_rows(where: Where, sessions: Sessions, alpha: float) -> Iterator[SizeRow]:
    """A row for every size; one that nobody has says 0 sessions."""
    known = _share(sessions, alpha) is not None
    for size, own in sizes(sessions).items():
        slowdown = describe(s.slowdown for s in own)
        tokens = [int(s.peak_tokens) for s in own if s.peak_tokens is not None]
        yield SizeRow(
            *where,
            size,
            len(own),
            min(tokens, default=None),
            max(tokens, default=None),
            _share(own, alpha) if known else None,
            slowdown["mean"],
            slowdown["p50"],
            slowdown["p99"],
            slowdown["max"],
        )


def tenant_rows(
    where: Where, sessions: Sessions, alpha: float, summaries: Sequence[Summary]
) -> Iterator[TenantRow]:
    """A row for every tenant; none where there is only one. summaries: of the same runs."""
    known = _share(sessions, alpha) is not None
    served = _served([s["fairness"]["service"] for s in summaries if "fairness" in s])
    for tenant, own in tenants(sessions).items():
        slowdown = describe(s.slowdown for s in own)
        good = _share(own, alpha) if known else None
        service = served.get(tenant, (None, None, None))
        mean, most = slowdown["mean"], slowdown["max"]
        yield TenantRow(*where, tenant, len(own), good, mean, most, *service)


def _served(runs: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Shares]:
    """By tenant, its share of all service, and in the tenths of the runs where that is lowest and
    highest. A tenth in which nobody was served is left out."""
    pooled: defaultdict[str, list[int]] = defaultdict(lambda: [0] * SLICES)
    for run in runs:
        for name, own in run.items():
            pooled[name] = [a + b for a, b in zip(pooled[name], own, strict=True)]
    totals = [sum(tenth) for tenth in zip(*pooled.values(), strict=True)]
    found: dict[str, Shares] = {}
    for name, own in pooled.items():
        shares = [part / total for part, total in zip(own, totals, strict=True) if total]
        whole = sum(own) / sum(totals) if shares else None
        found[name] = (whole, min(shares, default=None), max(shares, default=None))
    return found


def fairness(where: Where, sessions: Sessions) -> Fairness:
    """How evenly the sessions of a point fared."""
    slowdowns = _slowdowns(sessions)
    thirds = [own for size, own in sizes(sessions).items() if size != OVER]
    unfinished = sum(s.outcome != "finished" for s in sessions)
    return Fairness(
        *where,
        len(sessions),
        jain(slowdowns),
        jain(_means(tenants(sessions).values())),
        jain(_means(thirds)),
        max(slowdowns, default=None),
        unfinished + sum(slowdown > STARVED for slowdown in slowdowns),
        unfinished,
    )


def _share(sessions: Sessions, alpha: float) -> float | None:
    return goodput(sessions, alpha, None)["share"]


def _slowdowns(sessions: Sessions) -> list[float]:
    """Of those that finished, where the time of each alone is known."""
    return [s.slowdown for s in sessions if s.slowdown is not None]


def _means(groups: Iterable[Sessions]) -> list[float]:
    columns = [_slowdowns(own) for own in groups]
    return [math.fsum(column) / len(column) for column in columns if column]
