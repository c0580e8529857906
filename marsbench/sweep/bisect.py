"""The highest rate that still reaches something, by bisection."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

FURTHEST = 10
"""Doublings, or halvings, from the first rate before the search gives up."""
DIGITS = 4
"""Of a rate, so that a folder's name says all of it and a search taken up again finds it."""


class Bracket(NamedTuple):
    """The highest rate that reached it and the lowest that did not; None where none did so."""

    reached: float | None
    missed: float | None


def highest_rate(reaches: Callable[[float], bool], start: float, tolerance: float) -> Bracket:
    """Doubles or halves from `start` until the rate is bracketed, then halves the bracket.

    It ends when both ends are within `tolerance` of each other (0.05: 5 %). It takes for granted
    that whatever reaches it at one rate reaches it at every lower one; where that is not so, the
    answer is one of several rates at which it tips over.
    """
    reached, missed = _bracket(reaches, rounded(start))
    while reached is not None and missed is not None and missed > reached * (1 + tolerance):
        middle = rounded(math.sqrt(reached * missed))
        if middle in (reached, missed):
            break
        if reaches(middle):
            reached = middle
        else:
            missed = middle
    return Bracket(reached, missed)


def _bracket(reaches: Callable[[float], bool], start: float) -> Bracket:
    """From the first rate up while it is reached, or down while it is not."""
    rate, up = start, reaches(start)
    for _ in range(FURTHEST):
        further = rounded(rate * 2 if up else rate / 2)
        if reaches(further) != up:
            return Bracket(rate, further) if up else Bracket(further, rate)
        rate = further
    return Bracket(rate, None) if up else Bracket(None, rate)


def rounded(rate: float) -> float:
    """To four significant digits."""
    return float(f"{rate:.{DIGITS}g}")
