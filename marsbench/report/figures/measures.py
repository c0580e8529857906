"""The figures that rows and columns of panels show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from marsbench.judge.compare.figures import Figure
from marsbench.judge.compare.points import Place, Spread
from marsbench.report.axes import Which, log_scale, percent_scale, thousands
from marsbench.report.figures.fence import Fence, fence
from marsbench.report.material import Material, Regime

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAR = {"log": 5.0, "linear": 3.0}
"""From how many times the others' largest value on a backend stretches an axis."""
ROOM = 1.08
"""Above the largest value shown, and below the lowest on a logarithm."""
SHARE = 0.03
"""The same on a logarithm, of the axis: a decade is wider than an eighth."""


class Measure(NamedTuple):
    """A figure that a row of panels shows, its name, its axis, and what one unit of it is."""

    figure: Figure
    label: str
    scale: Literal["log", "percent", "linear"] = "log"
    unit: float = 1.0


def spread_of(material: Material, place: Place, backend: str, measure: Measure) -> Spread:
    """A backend's measure at a place, in the measure's unit; all None where not measured."""
    point = material.matrix.at(place, backend)
    spread = None if point is None else point.spread(measure.figure)
    if spread is None:
        return Spread(None, None, None)
    return Spread(*(None if value is None else value / measure.unit for value in spread))


def shown(
    material: Material, regimes: Sequence[Regime], measure: Measure
) -> Mapping[str, Sequence[float]]:
    """What every backend shows over these regimes: its means, and its lowest and highest seeds."""
    places = [place for regime in regimes for place in regime.places]
    return {
        name: [
            v
            for place in places
            for v in spread_of(material, place, name, measure)
            if v is not None
        ]
        for name in material.contenders
    }


def scaled(
    axes: Axes,
    which: Which,
    measure: Measure,
    values: Mapping[str, Sequence[float]],
    most: int = 5,
) -> Fence | None:
    """Sets the axis of a measure; returns where it ends before a backend that would stretch it.

    most: labels on a logarithmic axis.
    """
    if measure.scale == "percent":
        percent_scale(axes, which)
        return None
    found = fence(values, FAR[measure.scale])
    known = [value for own in values.values() for value in own if value > 0]
    top = found.end if found else max(known, default=1.0)
    if measure.scale == "linear":
        thousands(axes, which, top * ROOM)
    else:
        low = min(known, default=top / 10)
        room = ROOM * (top / low) ** SHARE
        axes.set(**{f"{which}lim": (low / room, top * room)})
        log_scale(axes, which, most)
    return found
