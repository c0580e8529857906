"""A drawn figure with its caption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a figure shows: axes, a headline, and the caption that says how to read them."""

    figure: Figure
    headline: str
    caption: str
