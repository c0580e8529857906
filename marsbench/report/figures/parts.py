"""Ratios to one backend: what its parts are worth, and who is faster where nobody waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from marsbench.compare.points import Place
from marsbench.compare.values import Difference
from marsbench.report.axes import log_scale, number
from marsbench.report.canvas import PAGE, finished, page_or_column
from marsbench.report.figures.dots import at_one, dot, dots, span
from marsbench.report.figures.drawing import Drawing
from marsbench.report.looks import Look
from marsbench.report.material import Absent, Material, sheets
from marsbench.report.spans import bar_words
from marsbench.reproduce.parts import exercised_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LATENCY = "latency_mean_s"
WIDE = 1.5
"""From this ratio between largest and smallest on, a scale is logarithmic."""
Ratios = Mapping[tuple[Place, str], Difference]


def ablations(material: Material) -> Iterator[Drawing]:
    """Mean latency without each part ÷ with all of them; a panel a part, a row a place."""
    ratios, base = _ratios(material), material.comparison.baseline
    parts = {name: look for name, look in material.ablations.items() if name.startswith(base)}
    if not parts:
        raise Absent("no backend without one of its parts is among the runs")
    titles = [name.removeprefix(f"{base}-").replace("no-", "without ") for name in parts]
    places = material.matrix.places
    figure, axes = dots([material.matrix.title(p) for p in places], titles, PAGE)
    for column, (name, look) in enumerate(parts.items()):
        for row, place in enumerate(places):
            _mark(axes[0, column], ratios.get((place, name)), row, look)
        at_one(axes[0, column])
        axes[0, column].set_xlabel(f"÷ {base}")
    _same_log_scale(list(axes[0]))
    finished(figure)
    caption = (
        f"Mean latency of {base} without one of its parts over that of {base}; right of the line, "
        "the part helps. No dot: it decided nothing there. Bars: "
        f"{bar_words(material.comparison)}. Logarithmic scale."
    )
    yield Drawing(figure, f"{base} without its parts.", caption)


def light_load(material: Material) -> Iterator[Drawing]:
    """Mean latency ÷ that of the baseline at each regime's lowest load."""
    ratios, base = _ratios(material), material.comparison.baseline
    looks = {name: look for name, look in material.looks.items() if name != base}
    if not ratios:
        raise Absent(f"there is nothing to hold against {base}")
    caption = (
        f"Mean latency over that of {base} at each regime's lowest load; left of the line, {base} "
        "is slower. The paper sees a slight gain there without the opportunistic part. Bars: "
        f"{bar_words(material.comparison)}."
    )
    for regimes in sheets(material.regimes):
        titles = [material.matrix.title(regime.lightest) for regime in regimes]
        figure, axes = dots(list(looks), titles, page_or_column(len(regimes)))
        for column, regime in enumerate(regimes):
            for row, (name, look) in enumerate(looks.items()):
                _mark(axes[0, column], ratios.get((regime.lightest, name)), row, look)
            at_one(axes[0, column])
            _around_one(axes[0, column])
            axes[0, column].set_xlabel(f"÷ {base}")
        finished(figure)
        yield Drawing(figure, "Light load.", caption)


def _ratios(material: Material) -> Ratios:
    """Where there are any, and not of a part that decided nothing there."""
    return {
        (row.place, row.backend): row
        for row in material.comparison.differences
        if row.figure == LATENCY and row.ratio is not None
        if exercised_at(material.matrix, row.place, row.backend)
    }


def _mark(axes: Axes, found: Difference | None, row: int, look: Look) -> None:
    """The ratio of means, over the typical seed's interval or from lowest to highest seed."""
    if found is not None and found.ratio is not None:
        _, low, high = found.typical_ratio
        known = low is not None
        span(axes, low if known else found.lowest_ratio, high if known else found.highest_ratio,
             row, look)  # fmt: skip
        dot(axes, found.ratio, row, look)


def _same_log_scale(row: list[Axes]) -> None:
    """Parts are compared, so all panels show the same range, at least 0.8 to 1.25."""
    low = min(0.8, *(axes.dataLim.x0 for axes in row))
    high = max(1.25, *(axes.dataLim.x1 for axes in row))
    for axes in row:
        axes.set_xlim(low / 1.08, high * 1.08)
        log_scale(axes, "x")


def _around_one(axes: Axes) -> None:
    """With 1 among its ticks, and never narrower than 2 per cent: closer than that none differs."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    low, high = min(axes.dataLim.x0, 0.99), max(axes.dataLim.x1, 1.01)
    if high / low > WIDE:
        axes.set_xlim(low / 1.06, high * 1.06)
        log_scale(axes, "x")
        return
    reach = 1.08 * max(1 - low, high - 1)
    axes.set_xlim(1 - reach, 1 + reach)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(round(value, 6))))
