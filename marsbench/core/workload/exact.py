"""exp, log, the normal distribution and straight lines on arrays, alike on every machine.

NumPy's own exp and log differ in the last digit between instruction sets, and a compiler may fuse
the multiply and add inside np.interp. Here every step is one array operation that IEEE 754 rounds
in one way only. The scalar twins are in marsbench_backends/exact.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from marsbench_backends import exact

Floats = npt.NDArray[np.float64]

MICRO_PER_S = 1e6
_ROOTS = np.array(exact.ROOTS)
_TERMS = 200
"""Of the series below; for |z| up to 8.5 the last ones add nothing to a double."""


def exp(x: Floats) -> Floats:
    """e to the x; infinite beyond the largest double."""
    x = np.maximum(x, exact.LEAST)
    parts = np.rint(x * exact.PER_UNIT)
    rest = x - parts * exact.PART_HIGH - parts * exact.PART_LOW
    whole = parts.astype(np.int64)
    roots = _ROOTS.take(whole % exact.PARTS)
    scaled: Floats = np.ldexp(roots + roots * exact.exp_rest(rest), whole // exact.PARTS)
    return scaled


def log(x: Floats) -> Floats:
    """The natural logarithm of positive finite numbers."""
    mantissa, exponent = np.frexp(x)
    is_low = mantissa < exact.SQRT_HALF
    f = np.where(is_low, 2 * mantissa, mantissa) - 1
    return np.asarray(exact.log_of(f, exponent - is_low), dtype=np.float64)


def normal_cdf(z: Floats) -> Floats:
    """The standard normal distribution function for |z| up to 8.5, in order, to 1e-15.

    It is 1/2 + pdf(z) x (z + z^3/3 + z^5/(3 x 5) + …), whose terms are all of one sign.
    """
    square = z * z
    term = series = z
    for n in range(1, _TERMS):
        term = term * square / (2 * n + 1)
        series = series + term
    density = exp(-0.5 * square) / np.sqrt(2 * np.pi)
    return np.maximum.accumulate(np.clip(0.5 + density * series, 0.0, 1.0))


def microseconds(seconds: Floats) -> Floats:
    """Seconds, rounded to whole microseconds."""
    return np.rint(seconds * MICRO_PER_S) / MICRO_PER_S


@dataclass(frozen=True, slots=True)
class Lines:
    """Straight lines between points, in the order of x; constant outside of them.

    start, y: where each line begins, the first one at the first point with slope 0.
    """

    ends: Floats
    start: Floats
    y: Floats
    slope: Floats

    @classmethod
    def through(cls, x: Floats, y: Floats) -> Self:
        """The lines through these points; where x repeats, the last of them counts."""
        run, rise = np.diff(x), np.diff(y)
        slope = np.divide(rise, run, out=np.zeros_like(run), where=run > 0)
        flat = np.zeros(1)
        return cls(
            ends=x,
            start=np.concatenate([x[:1], x]),
            y=np.concatenate([y[:1], y]),
            slope=np.concatenate([flat, slope, flat]),
        )

    def at(self, x: npt.ArrayLike) -> Floats:
        """y at these x."""
        x = np.asarray(x, dtype=np.float64)
        line = self.ends.searchsorted(x, side="right")
        return self.slope.take(line) * (x - self.start.take(line)) + self.y.take(line)

    def one(self, x: float) -> float:
        """y at this x, the same as `at` gives, in a third of the time."""
        line = self.ends.searchsorted(x, side="right")
        return float(self.slope[line]) * (x - float(self.start[line])) + float(self.y[line])
