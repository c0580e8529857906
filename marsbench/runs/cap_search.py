"""The best fixed cap: how many sessions in flight give FCFS its best goodput.

It is the control against unfair wins: a scheduler with admission control has to beat the best
admission limit that needs no scheduler at all.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

Score = tuple[float, float]
"""Goodput (share), and minus the mean latency, which decides between equal goodputs."""


def best_cap(score: Callable[[int], Score], most: int) -> tuple[int, dict[int, Score]]:
    """The cap from 1 to `most` with the best score, and every score that was looked at.

    Doubling first, then halving the gap on both sides of the best; a smaller cap wins a tie.
    Goodput need not have a single peak, so this finds a good cap and not surely the best one.
    """
    scores: dict[int, Score] = {}

    def look(cap: int) -> Score:
        if cap not in scores:
            scores[cap] = score(cap)
        return scores[cap]

    for cap in _doubling(most):
        look(cap)
    while True:
        best = _best(scores)
        gaps = [cap for cap in _middles(sorted(scores), best) if cap not in scores]
        if not gaps:
            return best, scores
        for cap in gaps:
            look(cap)


def _doubling(most: int) -> list[int]:
    caps = [1]
    while caps[-1] * 2 < most:
        caps.append(caps[-1] * 2)
    return caps if caps[-1] == most else [*caps, most]


def _best(scores: dict[int, Score]) -> int:
    return max(scores, key=lambda cap: (scores[cap], -cap))


def _middles(caps: list[int], best: int) -> list[int]:
    place = caps.index(best)
    around = caps[max(0, place - 1) : place + 2]
    return [(a + b) // 2 for a, b in pairwise(around)]
