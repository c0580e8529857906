"""Numbers as text: as many digits as a reader needs, and one sign for what was not measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

UNMEASURED = "–"
"""On screens and pages; a CSV has an empty cell there, JSON null."""


def measured(value: float | None, form: str, unmeasured: str = UNMEASURED) -> str:
    """By a format specification of Python's: ".3f"."""
    return unmeasured if value is None else format(value, form)


def fixed(value: float | None, digits: int = 0) -> str:
    """1,234; with digits after the point 1,234.5."""
    return measured(value, f",.{digits}f")


def short(value: float | None) -> str:
    """1,234; 56.7; 0.12."""
    return _graded(value, (100, 10, 0.1), ",")


def seconds(value: float | None) -> str:
    """Four digits or so: a thousandth of a second matters below one, a tenth not above 1000."""
    return _graded(value, (1000, 100, 1, 0.1))


def times(ratio: float | None, digits: int | None = None) -> str:
    """1.25×; 12.3×; 1,234×; or always with so many digits after the point."""
    if ratio is None:
        return UNMEASURED
    number = _graded(ratio, (100, 10, 0), ",") if digits is None else f"{ratio:.{digits}f}"
    return f"{number}×"


def percent(share: float | None, digits: int = 0, sign: str = "%") -> str:
    """63%."""
    return UNMEASURED if share is None else f"{share * 100:.{digits}f}{sign}"


def plain(value: float | None, digits: int = 6, whole: float = 1000.0) -> str:
    """20; 0.5: at most so many digits that count, and from `whole` on none after the point."""
    if value is None:
        return UNMEASURED
    return f"{value:,.0f}" if abs(value) >= whole else f"{value:.{digits}g}"


def mean_count(value: float | None) -> str:
    """A mean of counts: 0; 0.33; 3; 1,234."""
    return plain(value, digits=2, whole=10)


def compact(value: float | None) -> str:
    """Three digits: 0.0123; 1,234; 12.3k; 1.2M."""
    if value is None:
        return UNMEASURED
    size, suffix = 1.0, ""
    if abs(value) >= 10_000:
        size, suffix = (1e6, "M") if abs(value) >= 1e6 else (1e3, "k")
    scaled = value / size
    whole = abs(scaled) >= 100 or scaled == int(scaled)
    return f"{scaled:,.0f}{suffix}" if whole else f"{scaled:.3g}{suffix}"


Number = TypeVar("Number", int, float)


def span(values: Sequence[Number], form: Callable[[Number], str], joint: str = " to ") -> str:
    """ "62% to 100%"; one value where all look alike."""
    if not values:
        return UNMEASURED
    low, high = form(min(values)), form(max(values))
    return low if low == high else f"{low}{joint}{high}"


def count(number: int, thing: str) -> str:
    """ "1 run", "557 runs"."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def _graded(value: float | None, least: Sequence[float], comma: str = "") -> str:
    """One digit after the point more for each bound that the value is below; of the last, four."""
    if value is None or value == 0:
        return UNMEASURED if value is None else "0"
    digits = next((number for number, bound in enumerate(least) if abs(value) >= bound), 4)
    return f"{value:{comma}.{digits}f}"
