"""How tenants fare beside each other: evenness, the worst off, and who was served when."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypedDict

from marsbench.core.metrics.goodput import Goodput
from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.sessions import SessionRecord
from marsbench.core.metrics.window import Window

SLICES = 10
"""Equal parts of a run in which service is told."""
OUTPUT_WEIGHT = 2
"""Of an output token beside one of a prompt: as VTC and llm-d's program fairness count service."""


class WorstTenant(TypedDict):
    """Whose goodput is the lowest, and that; ties go by name. None where it was not measured."""

    tenant: str | None
    share: float | None


class FairnessFigures(TypedDict):
    """Of a run with several tenants.

    jain_slowdown: Jain's index of the tenants' mean slowdowns; who finished nothing is not in it.
    worst_goodput: by α. slice_s: seconds of each of the run's tenths. service: by tenant, the
    weighted tokens of each tenth: prompt tokens count when their round's first token exists,
    cached ones too, output tokens twice when it ends.
    """

    jain_slowdown: float | None
    worst_goodput: dict[str, WorstTenant]
    slice_s: float | None
    service: dict[str, list[int]]


def jain(values: Sequence[float]) -> float | None:
    """(Σx)² ÷ (n · Σx²): 1 when all are equal, 1/n when one has everything; None for none.

    Jain, Chiu and Hawe, DEC-TR-301 (1984).
    """
    squares, total = math.fsum(x * x for x in values), math.fsum(values)
    return total * total / (len(values) * squares) if squares else None


def worst(goodputs: Mapping[str, Goodput]) -> WorstTenant:
    """Of the tenants by name."""
    known = [(g["share"], name) for name, g in goodputs.items() if g["share"] is not None]
    if len(known) < len(goodputs):
        return {"tenant": None, "share": None}
    share, name = min(known)
    return {"tenant": name, "share": share}


def service(
    rounds: Sequence[RoundRecord], sessions: Sequence[SessionRecord], run: Window | None
) -> dict[str, list[int]]:
    """Weighted tokens of each tenant in each tenth of the run; none where that has no length."""
    owners = {s.session: s.tenant for s in sessions}
    found = {name: [0] * SLICES for name in sorted(set(owners.values()))} if run else {}
    for one in rounds if run else ():
        own = found[owners[one.session]]
        for at, tokens in (
            (one.first_token_at, one.prompt_tokens),
            (one.ended_at, OUTPUT_WEIGHT * (one.output_tokens or 0)),
        ):
            if run is not None and at is not None:
                own[_slice(at, run)] += tokens or 0
    return found


def _slice(at: float, run: Window) -> int:
    return max(0, min(SLICES - 1, int((at - run.from_s) / run.length_s * SLICES)))
