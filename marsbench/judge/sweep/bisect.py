"""The highest rate that still reaches something, by bisection."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

FURTHEST = 10
"""Steps from the first rate, at first doublings or halvings, before the search gives up."""
DIGITS = 4
"""Of a rate, so that a folder's name says all of it and a search taken up again finds it."""


class Bracket(NamedTuple):
    """The highest rate that reached it and the lowest that did not; None where none did so."""

    reached: float | None
    missed: float | None


def highest_rate(
    reaches: Callable[[float], bool], start: float, tolerance: float, factor: float = 2.0
) -> Bracket:
    """Steps by `factor` from `start` until the rate is bracketed, then halves the bracket.

    It ends when both ends are within `tolerance` of each other (0.05: 5 %). It takes for granted
    that whatever reaches it at one rate reaches it at every lower one; where that is not so, the
    answer is one of several rates at which it tips over.
    """
    reached, missed = _bracket(reaches, rounded(start), factor)
    while reached is not None and missed is not None and missed > reached * (1 + tolerance):
        middle = rounded(math.sqrt(reached * missed))
        if middle in (reached, missed):
            break
        if reaches(middle):
            reached = middle
        else:
            missed = middle
    return Bracket(reached, missed)


def _bracket(reaches: Callable[[float], bool], start: float, factor: float) -> Bracket:
    """From the first rate up while it is reached, or down while it is not."""
    rate, up = start, reaches(start)
    for _ in range(FURTHEST):
        further = rounded(rate * factor if up else rate / factor)
        if reaches(further) != up:
            return Bracket(rate, further) if up else Bracket(further, rate)
        rate = further
    return Bracket(rate, None) if up else Bracket(None, rate)


def fewest(reaches: Callable[[int], bool], most: int, least: int = 1) -> int | None:
    """The smallest number from `least` to `most` that reaches it; None where not even `most` does.

    It doubles from the least, then halves what is left, and takes for granted that more reach it
    too.
    """
    low, high = least - 1, least
    while not reaches(high):
        if high == most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        if reaches(middle):
            high = middle
        else:
            low = middle
    return high


def rounded(rate: float) -> float:
    """To four significant digits."""
    return float(f"{rate:.{DIGITS}g}")
