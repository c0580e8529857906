"""exp, log, integer powers and the normal distribution that come out alike on every machine.

A C library's differ in their last digit from processor to processor (with and without fused
multiply-add) and from version to version. These are built of what IEEE 754 rounds in one way
only: + - * / and scaling by powers of two; their tables come from integers and decimals. Both
are within one unit in the last place of the true value.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from typing import Any, Final

PARTS: Final = 512
"""Into so many parts a doubling is cut: exp(x) = 2^(k/512) x exp(r), with |r| below 0.0007."""

LEAST: Final = -746.0
"""Below, exp is zero: half of the smallest double."""

FARTHEST: Final = 9.0
"""Standard deviations beyond which a normal distribution holds less than a double can tell."""

SQRT_2PI: Final = 2.5066282746310002


def _split(value: Decimal, bits: int) -> tuple[float, float]:
    """The value as two doubles, of which the first has so few bits that multiples are exact."""
    high = math.floor(value * 2**bits) / 2**bits
    return high, float(value - Decimal(high))


def _roots() -> tuple[float, ...]:
    """2^(j/512), by integers: square roots of square roots of 2, and their powers."""
    one = 1 << 120
    root = 2 * one
    for _ in range(PARTS.bit_length() - 1):
        root = math.isqrt(root * one)
    powers = [one]
    while len(powers) < PARTS:
        powers.append(powers[-1] * root // one)
    return tuple(power / one for power in powers)


with localcontext() as _context:
    _context.prec = 50
    _LN2 = Decimal(2).ln()
    PER_UNIT: Final = float(PARTS / _LN2)
    PART_HIGH, PART_LOW = _split(_LN2 / PARTS, 42)
    LN2_HIGH, LN2_LOW = _split(_LN2, 41)

ROOTS: Final = _roots()
SQRT_HALF: Final = ROOTS[PARTS // 2] / 2
_LOG_TERMS: Final = tuple(2 / odd for odd in range(23, 1, -2))


def exp(x: float) -> float:
    """e to the x. Raises OverflowError beyond the largest double."""
    if x < LEAST:
        return 0.0
    parts = round(x * PER_UNIT)
    root = ROOTS[parts % PARTS]
    rest = x - parts * PART_HIGH - parts * PART_LOW
    return math.ldexp(root + root * float(exp_rest(rest)), parts // PARTS)


def log(x: float) -> float:
    """The natural logarithm. Raises ValueError where there is none."""
    if not 0 < x < math.inf:
        raise ValueError(f"there is no logarithm of {x}")
    mantissa, exponent = math.frexp(x)
    if mantissa < SQRT_HALF:
        mantissa, exponent = 2 * mantissa, exponent - 1
    return float(log_of(mantissa - 1, exponent))


def power(base: float, exponent: int) -> float:
    """base to a whole number from 0, by squaring."""
    value = 1.0
    while exponent:
        if exponent & 1:
            value *= base
        base *= base
        exponent >>= 1
    return value


def normal_cdf(z: float) -> float:
    """The share of a standard normal that lies below `z`, to a few units of 1e-16.

    G. Marsaglia, Evaluating the Normal Distribution, Journal of Statistical Software 11(4), 2004.
    """
    if abs(z) > FARTHEST:
        return 0.0 if z < 0 else 1.0
    total, term, odd = z, z, 1.0
    while abs(term) > 1e-17 * abs(total):
        odd += 2.0
        term *= z * z / odd
        total += term
    return 0.5 + total * exp(-0.5 * z * z) / SQRT_2PI


def normal_quantile(share: float) -> float:
    """Below what so large a share of a standard normal lies, by halving.

    Raises ValueError where there is no such number.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"a quantile is of a share between 0 and 1, not of {share}")
    low, high = -FARTHEST, FARTHEST
    while low < (middle := (low + high) / 2.0) < high:
        low, high = (middle, high) if normal_cdf(middle) < share else (low, middle)
    return high


def exp_rest(r: Any) -> Any:
    """exp(r) - 1 of a number or an array of them, for |r| below 0.0007: Taylor's series."""
    return r + r * r * (1 / 2 + r * (1 / 6 + r * (1 / 24)))


def log_of(f: Any, exponent: Any) -> Any:
    """ln((1 + f) x 2^exponent) of numbers or arrays, for 1 + f from sqrt(1/2) to sqrt(2).

    ln(1 + f) = 2 artanh(s) with s = f / (2 + f), whose first term is written as f - f^2/2 + s f^2/2
    so that f itself, which is exact, is added last.
    """
    s = f / (2.0 + f)
    square, half = s * s, 0.5 * f * f
    series = 0.0
    for term in _LOG_TERMS:
        series = (series + term) * square
    return exponent * LN2_HIGH - ((half - (s * (half + series) + exponent * LN2_LOW)) - f)
