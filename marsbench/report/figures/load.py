"""Against load: latency and goodput, and goodput beside what the GPU goes on doing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.compare.points import Place
from marsbench.report.canvas import (
    Drawing,
    finished,
    handles,
    height,
    legend,
    lines,
    panels,
    titled,
    whiskers,
)
from marsbench.report.figures.at_load import at_one_load
from marsbench.report.figures.fence import Fence, mark, said
from marsbench.report.figures.measures import Measure, scaled, shown, spread_of
from marsbench.report.material import Absent, Material, Regime, not_run, sheets
from marsbench.text.words import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LATENCIES = (
    Measure(LATENCY, "mean latency (s)"),
    Measure(Figure("latency_p95_s"), "P95 latency (s)"),
    Measure(Figure("latency_p99_s"), "P99 latency (s)"),
)
HOUR_S = 3600.0
ACROSS = 3
"""Up to so many regimes are rows, and the measures columns; more are columns."""
LABELS = 3
"""On the side of a panel that may be half an inch high."""
SIDEWAYS = 16
"""Letters of a regime's name along its row."""
SEEDS = "mean over seeds, with the lowest and the highest"


def latency(material: Material) -> Iterator[Drawing]:
    """Mean, P95 and P99 latency and goodput for every backend."""
    alpha = f"{material.alpha:g}"
    rows = (*LATENCIES, Measure(Figure("goodput", material.alpha), f"goodput({alpha})", "percent"))
    caption = (
        "Latency is from a session's arrival to its end, admission and tools included; "
        f"goodput({alpha}) is the share of arrived sessions that took at most {alpha} times as "
        f"long as alone. Shown: {SEEDS}."
    )
    yield from _figures(material, rows, "Latency and goodput", caption)


def collapse(material: Material) -> Iterator[Drawing]:
    """Goodput as a rate under the tokens that the GPU computes and puts out meanwhile."""
    alpha = f"{material.alpha:g}"
    rows = (
        Measure(Figure("computed_tokens_per_s"), "computed\n(ktokens/s)", "linear", 1000.0),
        Measure(Figure("output_tokens_per_s"), "output\n(tokens/s)", "linear"),
        Measure(
            Figure("goodput_rate", material.alpha),
            f"goodput({alpha})\n(sessions/h)",
            "linear",
            1 / HOUR_S,
        ),
    )
    caption = (
        "Computed: thousands of tokens that the GPU computes (prompts less what was found, "
        "outputs, and what is computed again after preemptions). Goodput: sessions an hour that "
        "end within "
        f"{alpha} times their time alone. An engine that thrashes stays busy while its goodput "
        f"falls. Shown: {SEEDS}."
    )
    yield from _figures(material, rows, "Goodput beside token throughput", caption)


def _figures(
    material: Material, measures: Sequence[Measure], headline: str, caption: str
) -> Iterator[Drawing]:
    """Curves for regimes of several loads; dots for those of one."""
    if len(material.contenders) == 1 and len(material.matrix.places) == 1:
        raise Absent("one backend at one load is a row of numbers, which the tables have")
    several = [regime for regime in material.regimes if len(regime.places) > 1]
    for regimes in sheets(several):
        yield _against_load(material, regimes, measures, f"{headline} against load.", caption)
    for regime in material.regimes:
        if len(regime.places) == 1:
            yield from at_one_load(material, regime.heaviest, measures, headline, caption)


def _against_load(
    material: Material,
    regimes: Sequence[Regime],
    measures: Sequence[Measure],
    headline: str,
    caption: str,
) -> Drawing:
    figure, grid = _grid(material, regimes, measures)
    fences = []
    for row, measure in enumerate(measures):
        for column, regime in enumerate(regimes):
            _curves(grid[row, column], material, regime, measure)
        found = scaled(grid[row, 0], "y", measure, shown(material, regimes, measure), LABELS)
        fences.append((measure.label.replace("\n", " "), found))
        for column, regime in enumerate(regimes):
            _marks(grid[row, column], material, regime, measure, found)
    figure.align_ylabels()
    legend(figure, handles(material.contenders))
    finished(figure)
    places = [place for regime in regimes for place in regime.places]
    more = said(fences) + not_run(material, places, material.contenders)
    return Drawing(figure, headline, f"{caption} Load is rate × mean GPU seconds alone.{more}")


def _grid(
    material: Material, regimes: Sequence[Regime], measures: Sequence[Measure]
) -> tuple[Any, Any]:
    """A figure, and its axes by measure and regime, with what is written along their sides."""
    turned = len(regimes) <= ACROSS
    figure, grid = (_by_row if turned else _by_column)(material, regimes, measures)
    for column, regime in enumerate(regimes):
        for own in grid[:, column]:
            _load_axis(own, regime)
        for own in grid[:, column] if turned and regime is regimes[-1] else ():
            own.set_xlabel(_load_label(regime))
        if not turned:
            grid[-1, column].set_xlabel(_load_label(regime))
    return figure, grid


def _by_row(
    material: Material, regimes: Sequence[Regime], measures: Sequence[Measure]
) -> tuple[Any, Any]:
    """A regime a row, which is as high as its name asks for."""
    names = [wrapped(regime.title.replace(", ", "\n"), SIDEWAYS) for regime in regimes]
    high = height(len(regimes), material.contenders, [measure.label for measure in measures])
    figure, axes = panels(len(regimes), len(measures), high=high, sharey="col")
    for own, measure in zip(axes[0], measures, strict=True):
        own.set_title(measure.label)
    for own, name in zip(axes[:, 0], names, strict=True):
        own.set_ylabel(name)
    return figure, axes.T


def _by_column(
    material: Material, regimes: Sequence[Regime], measures: Sequence[Measure]
) -> tuple[Any, Any]:
    """A measure a row: two figures, their captions and headings fit on a page."""
    titles = [titled(regime.title, len(regimes)) for regime in regimes]
    high = height(2.4, material.contenders, titles)
    figure, axes = panels(len(measures), len(regimes), high=high, sharex="col", sharey="row")
    for own, title in zip(axes[0], titles, strict=True):
        own.set_title(title)
    for own, measure in zip(axes[:, 0], measures, strict=True):
        own.set_ylabel(measure.label.replace(" latency", ""))
    return figure, axes


def _curves(axes: Axes, material: Material, regime: Regime, measure: Measure) -> None:
    courses: dict[str, list[tuple[float, float]]] = {}
    for name, look in material.contenders.items():
        for place in regime.places:
            mean, low, high = spread_of(material, place, name, measure)
            if mean is not None:
                whiskers(axes, _load(place), low, high, look)
                courses.setdefault(name, []).append((_load(place), mean))
    lines(axes, courses, material.contenders)


def _marks(
    axes: Axes, material: Material, regime: Regime, measure: Measure, found: Fence | None
) -> None:
    for name in found.beyond if found else ():
        for place in regime.places:
            mean = spread_of(material, place, name, measure).mean
            if found and mean is not None and mean > found.end:
                mark(axes, "y", _load(place), material.contenders[name])


def _load(place: Place) -> float:
    return place.load if place.load is not None else place.rate or 0.0


def _load_axis(axes: Axes, regime: Regime) -> None:
    """Ticks where something was measured."""
    loads = [_load(place) for place in regime.places]
    axes.set_xticks(loads, [f"{load:g}" for load in loads])
    axes.margins(x=0.1)


def _load_label(regime: Regime) -> str:
    by_rate = all(place.load is None and place.rate is not None for place in regime.places)
    return "sessions/s" if by_rate else "load"
