"""A row of characters as a small chart: one column a stretch of the axis, eight heights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

LEVELS = "▁▂▃▄▅▆▇█"
NOTHING = " "
"""A column in which nothing was measured; a measured 0 is the lowest level."""


def sparkline(values: Sequence[float | None], top: float) -> str:
    """One character a value, from 0 to `top`; what lies above is drawn at the top."""
    return "".join(_level(value, top) for value in values)


def _level(value: float | None, top: float) -> str:
    if value is None:
        return NOTHING
    share = value / top if top > 0 else 0.0
    # Only 0 is drawn as 0, and only the top as the top: what is there can be seen.
    step = math.ceil(share * (len(LEVELS) - 1)) if share < 1 else len(LEVELS) - 1
    return LEVELS[max(0, min(step, len(LEVELS) - 1))]


def columns(
    samples: Iterable[tuple[float, float]], begin: float, end: float, width: int
) -> list[float | None]:
    """The mean of the samples (at, value) in each of `width` equal stretches of the axis."""
    inside: list[list[float]] = [[] for _ in range(width)]
    for at, value in samples:
        if begin <= at <= end:
            place = int((at - begin) / (end - begin) * width) if end > begin else 0
            inside[min(place, width - 1)].append(value)
    return [math.fsum(found) / len(found) if found else None for found in inside]
