"""When a decision that time alone may change is looked at again."""

from __future__ import annotations

import math


def last_review(now: float, every_s: float) -> float:
    """The latest instant of the grid that is not after now."""
    return math.floor(now / every_s) * every_s


def next_review(now: float, every_s: float) -> float:
    """The next instant of the grid: all sessions are looked at at the same ones."""
    at = (math.floor(now / every_s) + 1) * every_s
    return at if at > now else at + every_s  # rounding may hit now itself
