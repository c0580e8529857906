"""Intervals over seeds, and when two sides differ: the one rule of compare, gate and report.

seeds     how many seeds a verdict takes, and how many of them may say otherwise
typical   the median over seeds and its interval
pairs     two sides paired by seed
coverage  how often the interval holds the truth (reports/coverage.md)

Seeds are the sample: the simulator has no noise, so what could have come out otherwise is the
traffic. Needs no numbers but one a seed, no dice and no tables of other libraries.
"""

from marsbench.judge.intervals.pairs import (
    Side,
    changes,
    differences,
    digits,
    is_level,
    mean,
    ratios,
    side,
)
from marsbench.judge.intervals.seeds import (
    CONFIDENCE,
    FEWEST_SEEDS,
    chance,
    check_confidence,
    dissent,
    fewest,
    held,
)
from marsbench.judge.intervals.typical import UNKNOWN, Interval, typical

__all__ = [
    "CONFIDENCE",
    "FEWEST_SEEDS",
    "UNKNOWN",
    "Interval",
    "Side",
    "chance",
    "changes",
    "check_confidence",
    "differences",
    "digits",
    "dissent",
    "fewest",
    "held",
    "is_level",
    "mean",
    "ratios",
    "side",
    "typical",
]
