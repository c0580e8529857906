"""Goodput(α): the sessions that took at most α times as long as they would have taken alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

from marsbench.core.metrics.sessions import SessionRecord, roots
from marsbench.core.metrics.window import Window
from marsbench.errors import UsageError


class Goodput(TypedDict):
    """good ÷ arrived, and good per second of the run; None where no ideal time is known."""

    share: float | None
    rate: float | None
    good: int | None
    arrived: int


def alpha_key(alpha: float) -> str:
    """How a summary names an α: 3.0 is "3", 1.5 is "1.5"."""
    return repr(float(alpha)).removesuffix(".0")


def check_alpha(alpha: float) -> float:
    """The α, if it can be met at all. Raises UsageError below 1 and for what is no number."""
    if not math.isfinite(alpha) or alpha < 1:
        raise UsageError(
            f"alpha={alpha:g} asks sessions to end faster than they do alone; "
            "give --alpha 1 or more, for example --alpha 3."
        )
    return alpha


def goodput(sessions: Sequence[SessionRecord], alpha: float, run: Window | None) -> Goodput:
    """Sessions with slowdown ≤ α over all that arrived, and per second of the whole run.

    Sessions that failed or did not end are never good. No tolerance is added: whoever wants one
    says so in α (1.01 allows one per cent). Raises UsageError for α below 1.
    """
    check_alpha(alpha)
    own = roots(sessions)
    finished = [s for s in own if s.outcome == "finished"]
    if not own or any(s.slowdown is None for s in finished):
        return {"share": None, "rate": None, "good": None, "arrived": len(own)}
    good = sum(s.slowdown is not None and s.slowdown <= alpha for s in finished)
    rate = good / run.length_s if run else None
    return {"share": good / len(own), "rate": rate, "good": good, "arrived": len(own)}
