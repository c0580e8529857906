"""Generators named by what they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marsbench.judge.intervals.dice import dice as named

if TYPE_CHECKING:
    import numpy as np


def dice(*name: object) -> np.random.Generator:
    """The same name gives the same draws."""
    return named("gate-calibration", *name)
