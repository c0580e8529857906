"""Who pays: slowdown by size and by tenant, how even it is, and who was starved."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from marsbench.core.metrics.percentiles import describe
from marsbench.judge.compare.points import Place
from marsbench.judge.compare.sessions import Sessions, share_within
from marsbench.judge.compare.values import Fairness, SizeRow, TenantRow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Floats = NDArray[np.float64]

SMALL, MIDDLE, LONG, OVER = "small", "middle", "long", "over 50k"
LONG_TOKENS = 50_000
"""Where the released MARS begins to hold sessions back as long (its gate's threshold)."""
STARVED = 10.0
"""Times as long as alone: past this a session that did finish counts as starved."""


def sizes(sessions: Sessions) -> dict[str, Mask]:
    """Which sessions are of which size, by their longest context.

    small, middle and long are thirds of the workload's own sessions, so that they say something of
    every workload; ties go by name. Over 50k are those whose context passed 50,000 tokens,
    whichever third they are in.
    """
    import numpy as np

    order = np.lexsort((np.array(sessions.names), sessions.tokens))
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order))
    third = place * 3 // max(1, len(order))
    named = {name: third == i for i, name in enumerate((SMALL, MIDDLE, LONG))}
    return {**named, OVER: sessions.tokens > LONG_TOKENS}


def size_rows(
    place: Place, backend: str, sessions: Sessions, marked: dict[str, Mask], alpha: float
) -> Iterator[SizeRow]:
    """A row for every size; one that nobody has says 0 sessions."""
    for name, mask in marked.items():
        slowdown, tokens = sessions.slowdown[mask], sessions.tokens[mask]
        told = describe(_finished(slowdown))
        yield SizeRow(
            place,
            backend,
            name,
            int(mask.sum()),
            _whole(tokens, "min"),
            _whole(tokens, "max"),
            float(share_within(slowdown, alpha)) if len(slowdown) and sessions.known else None,
            told["mean"],
            told["p50"],
            told["p99"],
            told["max"],
        )


def tenant_rows(
    place: Place, backend: str, sessions: Sessions, alpha: float
) -> Iterator[TenantRow]:
    """A row for every tenant; none where there is only one."""
    for name, mask in tenants(sessions).items():
        told = describe(_finished(sessions.slowdown[mask]))
        good = float(share_within(sessions.slowdown[mask], alpha)) if sessions.known else None
        yield TenantRow(place, backend, name, int(mask.sum()), good, told["mean"], told["max"])


def tenants(sessions: Sessions) -> dict[str, Mask]:
    """Which sessions are whose; empty with one tenant."""
    import numpy as np

    names = sorted(set(sessions.tenants))
    own = np.array(sessions.tenants)
    return {name: own == name for name in names} if len(names) > 1 else {}


def fairness(place: Place, backend: str, sessions: Sessions, marked: dict[str, Mask]) -> Fairness:
    """How evenly the sessions of a point fared."""
    import numpy as np

    slowdown = sessions.slowdown
    thirds = [mask for name, mask in marked.items() if name != OVER]
    unfinished = int(np.isinf(slowdown).sum())
    return Fairness(
        place,
        backend,
        len(sessions.names),
        jain(_finished(slowdown)),
        jain(_means(slowdown, list(tenants(sessions).values()))),
        jain(_means(slowdown, thirds)),
        max(_finished(slowdown), default=None),
        int((slowdown > STARVED).sum()),
        unfinished,
    )


def jain(values: Sequence[float]) -> float | None:
    """(Σx)² ÷ (n · Σx²): 1 when all are equal, 1/n when one has everything; None for none.

    Jain, Chiu and Hawe, DEC-TR-301 (1984).
    """
    squares, total = math.fsum(x * x for x in values), math.fsum(values)
    return total * total / (len(values) * squares) if squares else None


def _means(slowdown: Floats, masks: Sequence[Mask]) -> list[float]:
    groups = [_finished(slowdown[mask]) for mask in masks]
    return [math.fsum(group) / len(group) for group in groups if group]


def _finished(slowdown: Floats) -> list[float]:
    import numpy as np

    return [float(x) for x in slowdown[np.isfinite(slowdown)]]


def _whole(tokens: Floats, which: str) -> int | None:
    import numpy as np

    known = tokens[~np.isnan(tokens)]
    return int(getattr(known, which)()) if len(known) else None
