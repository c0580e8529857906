"""Slowdown: which share of sessions is good at which α, and its whole distribution."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from marsbench.compare.points import Place
from marsbench.report.axes import log_scale, percent_scale
from marsbench.report.canvas import finished, handles, legend, lines, page_or_column, panels
from marsbench.report.figures.drawing import Drawing
from marsbench.report.material import Absent, Material, Regime, sheets

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curves = Mapping[tuple[Place, str], Sequence[tuple[float, float]]]


def goodput_alpha(material: Material) -> Iterator[Drawing]:
    """Goodput as a curve over α at each regime's highest load."""
    curves: defaultdict[tuple[Place, str], list[tuple[float, float]]] = defaultdict(list)
    for point in material.comparison.curves:
        curves[point.place, point.backend].append((point.alpha, point.share))
    caption = (
        "Share of arrived sessions that took at most α times as long as alone, at each regime's "
        "highest load. Sessions that failed or did not finish are never good. α is logarithmic."
    )
    headline = "Goodput against α."
    yield from _curves(material, curves, headline, caption, "α", "goodput(α)")


def slowdown_cdf(material: Material) -> Iterator[Drawing]:
    """The distribution of slowdown at each regime's highest load."""
    curves: defaultdict[tuple[Place, str], list[tuple[float, float]]] = defaultdict(list)
    for point in material.comparison.cdf:
        curves[point.place, point.backend].append((point.slowdown, point.share))
    caption = (
        "Slowdown is latency over the latency of the same session alone; all arrived sessions, "
        "seeds pooled, at each regime's highest load. A curve that ends below 100% has sessions "
        "that did not finish. Slowdown is logarithmic."
    )
    headline = "Distribution of slowdown."
    yield from _curves(material, curves, headline, caption, "slowdown", "sessions")


def _curves(
    material: Material, curves: Curves, headline: str, caption: str, x: str, y: str
) -> Iterator[Drawing]:
    if not curves:
        raise Absent("no run has a table of sessions with the time of each alone")
    for regimes in sheets(material.regimes):
        width = page_or_column(len(regimes))
        figure, axes = panels(1, len(regimes), width=width, row_height=1.75, sharey="row")
        for column, regime in enumerate(regimes):
            _panel(axes[0, column], material, regime, curves)
            axes[0, column].set_xlabel(x)
        axes[0, 0].set_ylabel(y)
        legend(figure, handles(material.contenders))
        finished(figure)
        yield Drawing(figure, headline, caption)


def _panel(axes: Axes, material: Material, regime: Regime, curves: Curves) -> None:
    place = regime.heaviest
    own = {name: curves.get((place, name), ()) for name in material.contenders}
    lines(axes, own, material.contenders, drawstyle="steps-post")
    axes.set_title(material.matrix.title(place).replace(", ", "\n"))
    log_scale(axes, "x")
    percent_scale(axes)
