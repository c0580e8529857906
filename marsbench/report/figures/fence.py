"""Axes that a few backends would stretch: where they end, and what is said of what lies beyond."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from marsbench.report.axes import Which
from marsbench.report.looks import Look
from marsbench.text.numbers import short
from marsbench.text.words import listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 5
"""At most one backend in so many is beyond an axis: more of them are the picture."""
MARKS: Mapping[Which, str] = {"x": ">", "y": "^"}


class Fence(NamedTuple):
    """Where an axis ends, and how far the backends go that do not end there."""

    end: float
    beyond: Mapping[str, float]


def fence(values: Mapping[str, Sequence[float]], far: float) -> Fence | None:
    """Where to end an axis: at the largest value of those but a few that go `far` times further.

    values: what each backend shows. None where no backend, or more than one in five, goes so far.
    """
    tops = {name: max(own) for name, own in values.items() if own}
    order = sorted(tops, key=lambda name: (-tops[name], name))
    for number in range(len(order) // FEW, 0, -1):
        end = tops[order[number]]
        if end > 0 and tops[order[number - 1]] > far * end:
            return Fence(end, {name: tops[name] for name in order[:number]})
    return None


def mark(axes: Axes, which: Which, across: float, look: Look, **more: Any) -> None:
    """A mark on the end of an axis, where something lies beyond it; `across`: on the other axis."""
    where = (1.0, across) if which == "x" else (across, 1.0)
    options: dict[str, Any] = {
        "transform": axes.get_yaxis_transform() if which == "x" else axes.get_xaxis_transform(),
        "marker": MARKS[which], "markersize": 4.0, "color": look.color, "markeredgecolor": "white",
        "markeredgewidth": 0.3, "linestyle": "", "clip_on": False, "zorder": 6,
    }  # fmt: skip
    axes.plot([where[0]], [where[1]], **(options | more))


def said(fences: Iterable[tuple[str, Fence | None]]) -> str:
    """A sentence of a caption: what lies beyond which axis; empty where nothing does."""
    parts = [
        f"{listed([f'{name} up to {short(top)}' for name, top in found.beyond.items()])} ({label})"
        for label, found in fences
        if found is not None
    ]
    if not parts:
        return ""
    return f" Axes end before what would stretch them, and a mark stands there: {'; '.join(parts)}."
