"""Bootstrap intervals: of means over seeds, of their differences and ratios, drawn as pairs.

The percentile method (Efron, 1979): draw as many units as there are, with replacement, again and
again, and take the middle of what comes out. Both sides of a pair are drawn together, so what a
seed does to both of them cancels. The draws depend on how many units there are and on nothing
else: the same runs in another order give the same intervals, and swapped sides give their mirror.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from marsbench.compare.values import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Picks = NDArray[np.int64]

CONFIDENCE = 0.95
RESAMPLES = 4000


class Drawn(NamedTuple):
    """A figure as it came out, and as it comes out in each draw; None where nothing is known."""

    value: float | None
    draws: Floats | None


@cache
def weights(units: int, resamples: int) -> Floats:
    """(resamples, units): the share of each unit in each draw. Rows add up to 1."""
    import numpy as np

    return np.asarray(_dice(units).multinomial(units, [1 / units] * units, resamples) / units)


@cache
def picks(units: int, resamples: int) -> Picks:
    """(resamples, units): which units each draw takes, for figures that are no means."""
    import numpy as np

    return np.asarray(_dice(units).integers(0, units, (resamples, units)))


def _dice(units: int) -> np.random.Generator:
    import numpy as np

    name = f"marsbench.compare:{units}".encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name).digest()[:8]))


def interval(drawn: Drawn, confidence: float = CONFIDENCE) -> Interval:
    """The estimate and the middle of its draws; no bounds without draws, or with one not finite.

    The estimate is always inside: rounding must not leave it a hair outside.
    """
    import numpy as np

    value, draws = drawn
    if value is None or draws is None or not np.isfinite(draws).all():
        return Interval(value, None, None)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(value, min(float(low), value), max(float(high), value))


def difference(base: Drawn, other: Drawn) -> Drawn:
    """other − base, draw by draw."""
    if base.value is None or other.value is None:
        return Drawn(None, None)
    value = other.value - base.value
    if base.draws is None or other.draws is None:
        return Drawn(value, None)
    return Drawn(value, other.draws - base.draws)


def ratio(base: Drawn, other: Drawn) -> Drawn:
    """other ÷ base, draw by draw; without draws when base is 0 in one of them."""
    if not base.value or other.value is None:
        return Drawn(None, None)
    value = other.value / base.value
    if base.draws is None or other.draws is None or not base.draws.all():
        return Drawn(value, None)
    return Drawn(value, other.draws / base.draws)
