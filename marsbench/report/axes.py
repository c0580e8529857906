"""How axes count: plain numbers on logarithmic scales, per cent, thousands with a comma."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Which = Literal["x", "y"]


def log_scale(axes: Axes, which: Which) -> None:
    """Logarithmic, labelled at 1, 2 and 5 where decades alone would be too few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    steps = (1.0,) if high / max(low, 1e-12) > 200 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(10, subs=steps, numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axis.set_minor_formatter(NullFormatter())


def percent_scale(axes: Axes) -> None:
    """From 0 to 100 per cent of one, upwards."""
    from matplotlib.ticker import PercentFormatter

    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
    axes.set_ylim(-0.03, 1.05)


def thousands(axes: Axes) -> None:
    """Plain numbers from 0 upwards, at most five of them."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


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
