"""What counts as a number in an answer: True is none, and what is not a number is none either."""

from __future__ import annotations

from numbers import Real
from typing import TypeGuard


def is_number(value: object) -> TypeGuard[float]:
    """A real number, infinite or not; neither a bool nor NaN."""
    return isinstance(value, Real) and not isinstance(value, bool) and value == value


def is_whole(value: object) -> TypeGuard[int]:
    """An int that is no bool."""
    return isinstance(value, int) and not isinstance(value, bool)
