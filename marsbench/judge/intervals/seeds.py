"""How many seeds a verdict takes, and how many of them may say otherwise.

Whatever the distribution of a figure, a seed lies above its median as often as below. So the number
of n seeds on one side of it is binomial (n, 1/2), and counting seeds needs no assumption on what
they scatter like: the sign test, and the interval between order statistics that belongs to it
(David and Nagaraja, Order Statistics, 7.1). What counts seeds also depends on no last bit.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from itertools import count

from marsbench.errors import UsageError

CONFIDENCE = 0.95
"""Of an interval, both sides together, unless somebody asks for another."""
FEWEST_SEEDS = 6
"""Below it nothing is better or worse at 95 %: five seeds agree by chance in 2 · 2⁻⁵ = 6 %."""
SUREST = 0.9999


def check_confidence(confidence: float) -> float:
    """The confidence, if it is one. Raises UsageError."""
    if not 0.5 < confidence <= SUREST:
        raise UsageError(
            f"confidence must be above 0.5 and at most {SUREST:g}, not {confidence:g}; "
            "for example --confidence 0.95."
        )
    return confidence


@cache
def dissent(num_seeds: int, confidence: float = CONFIDENCE) -> int | None:
    """The most seeds that may say otherwise; None where even all of them together say too little.

    The largest k for which k seeds or fewer, of `num_seeds`, come to lie on a given side of the
    median, on either side, in at most 1 − confidence of cases.
    """
    most, tail = None, 0
    for k in range((num_seeds + 1) // 2 if num_seeds >= FEWEST_SEEDS else 0):
        tail += math.comb(num_seeds, k)
        if Fraction(2 * tail, 2**num_seeds) > _rest(confidence):
            break
        most = k
    return most


def fewest(confidence: float = CONFIDENCE) -> int:
    """The fewest seeds on which anything is said: FEWEST_SEEDS, more for a higher confidence."""
    return next(n for n in count(FEWEST_SEEDS) if dissent(n, confidence) is not None)


def held(num_seeds: int, confidence: float = CONFIDENCE) -> float | None:
    """What the interval of so many seeds holds exactly, which is `confidence` or the next above.

    Seeds are counted, so only some levels exist. With ties it holds more.
    """
    most = dissent(num_seeds, confidence)
    if most is None:
        return None
    tail = sum(math.comb(num_seeds, k) for k in range(most + 1))
    return float(1 - Fraction(2 * tail, 2**num_seeds))


@cache
def chance(num_beyond: int, num_seeds: int) -> float:
    """How often so many seeds or more lie on one given side of the median: the sign test's p."""
    tail = sum(math.comb(num_seeds, k) for k in range(num_beyond, num_seeds + 1))
    return float(Fraction(tail, 2**num_seeds))


def _rest(confidence: float) -> Fraction:
    """1 − confidence as it was meant: 0.05 is a twentieth, not the double beside it."""
    return Fraction(1 - confidence).limit_denominator(1_000_000_000)
