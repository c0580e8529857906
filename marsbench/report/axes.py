"""How axes count: plain numbers on logarithmic scales, per cent, thousands with a comma."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Which = Literal["x", "y"]


NARROW = 4.0
"""Below this ratio of its ends a logarithmic axis is labelled as a linear one is."""


def log_scale(axes: Axes, which: Which) -> None:
    """Logarithmic, labelled at 1, 2 and 5 where decades alone would be too few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    if high / max(low, 1e-12) < NARROW:
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(round(value, 6))))
        axis.set_minor_locator(NullLocator())
        return
    steps = (1.0,) if high / max(low, 1e-12) > 200 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(10, subs=steps, numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axis.set_minor_formatter(NullFormatter())


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
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def number(value: float) -> str:
    """As short as it can be read: 1,500; 20; 0.5."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def minutes(axes: Axes) -> None:
    """An axis of seconds told in minutes."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    low, high = axes.get_xlim()
    span = max(high - low, 1.0) / 60
    step = next((s for s in (1, 2, 5, 10, 20, 30, 60, 120, 240, 480) if span / s <= 5), 960)
    axes.xaxis.set_major_locator(MultipleLocator(step * 60))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 60:,.0f}"))
