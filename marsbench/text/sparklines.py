"""A row of characters as a small chart: one column a stretch of the axis, eight heights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

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
    at: ArrayLike, values: ArrayLike, begin: float, end: float, width: int
) -> list[float | None]:
    """The mean of the samples in each of `width` equal stretches of the axis; None without any."""
    instants, heights = np.asarray(at, dtype=float), np.asarray(values, dtype=float)
    inside = (begin <= instants) & (instants <= end)
    length = end - begin
    share = (instants[inside] - begin) / length if length > 0 else np.zeros(int(inside.sum()))
    place = np.minimum((share * width).astype(int), width - 1)
    count = np.bincount(place, minlength=width)
    total = np.bincount(place, weights=heights[inside], minlength=width)
    return [float(t / n) if n else None for t, n in zip(total, count, strict=True)]
