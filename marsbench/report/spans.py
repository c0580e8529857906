"""What brackets and bars beside a ratio are, in words."""

from __future__ import annotations

from marsbench.judge.compare.values import Comparison, Difference
from marsbench.judge.intervals import fewest
from marsbench.text.numbers import UNMEASURED, times

HARD = "\N{NO-BREAK SPACE}"


def has_intervals(comparison: Comparison) -> bool:
    """Whether any difference has seeds enough."""
    return any(row.typical_difference.low is not None for row in comparison.differences)


def with_interval(row: Difference | None) -> str:
    """A ratio of means, "0.97×", and in brackets the typical seed's interval, "[0.93, 1.00]"."""
    if row is None:
        return UNMEASURED
    low, high = row.typical_ratio.low, row.typical_ratio.high
    if low is None or high is None:
        return times(row.ratio)
    return f"{times(row.ratio)} [{low:.2f},{HARD}{high:.2f}]"


def bracket_words(comparison: Comparison) -> str:
    """Of numbers in brackets."""
    if not has_intervals(comparison):
        return f"fewer than {fewest(comparison.confidence)} seeds give no interval"
    return f"in brackets the {comparison.confidence:.0%} interval of the typical seed's ratio"


def bar_words(comparison: Comparison) -> str:
    """Of bars through a dot that is a ratio of means."""
    needed = fewest(comparison.confidence)
    if not has_intervals(comparison):
        return f"lowest and highest seed (an interval takes {needed} seeds)"
    return (
        f"{comparison.confidence:.0%} interval of the typical seed's ratio (below {needed} seeds: "
        "lowest and highest seed); a dot beside its bar is a mean that few seeds make"
    )
