"""How axes count: plain numbers on logarithmic scales, per cent, thousands with a comma."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from marsbench.text.numbers import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Which = Literal["x", "y"]


NARROW = 4.0
"""Below this ratio of its ends a logarithmic axis is labelled as a linear one is."""
STEPS = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
"""What is labelled within a decade, the most first."""


def log_scale(axes: Axes, which: Which, most: int = 8) -> None:
    """Logarithmic, with as many labels as there is room for, up to `most`."""
    from matplotlib.ticker import (
        FuncFormatter,
        LogLocator,
        MaxNLocator,
        NullFormatter,
        NullLocator,
    )

    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    if high / max(low, 1e-12) < NARROW:
        axis.set_major_locator(MaxNLocator(min(most, 4), steps=[1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: plain(round(value, 6))))
        axis.set_minor_locator(NullLocator())
        return
    fits = [steps for steps in STEPS if _labels(low, high, steps) <= most]
    # Where there are more decades than that, matplotlib leaves some of them out.
    subs, ticks = (fits[0], 20) if fits else (STEPS[-1], most)
    axis.set_major_locator(LogLocator(10, subs=subs, numticks=ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_formatter(NullFormatter())


def _labels(low: float, high: float, steps: Sequence[float]) -> int:
    """How many labels lie between the ends."""
    decades = range(math.floor(math.log10(max(low, 1e-12))), math.ceil(math.log10(high)) + 1)
    return sum(low <= step * 10.0**decade <= high for decade in decades for step in steps)


def percent_scale(axes: Axes, which: Which) -> None:
    """From 0 to 100 per cent of one."""
    from matplotlib.ticker import PercentFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set(**{f"{which}ticks": [0, 0.5, 1.0], f"{which}lim": (-0.03, 1.05)})


def thousands(axes: Axes, which: Which, top: float) -> None:
    """Plain numbers from 0 to `top`, few of them."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set(**{f"{which}lim": (0, top)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(4))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))


def minutes(axes: Axes) -> None:
    """An axis of seconds told in minutes."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    low, high = axes.get_xlim()
    span = max(high - low, 1.0) / 60
    step = next((s for s in (1, 2, 5, 10, 20, 30, 60, 120, 240, 480) if span / s <= 5), 960)
    axes.xaxis.set_major_locator(MultipleLocator(step * 60))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 60:,.0f}"))
