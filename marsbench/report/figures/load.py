"""Against load: latency and goodput, and goodput beside what the GPU goes on doing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from marsbench.compare.figures import goodput_name, goodput_rate_name
from marsbench.compare.points import Place, Point
from marsbench.report.axes import log_scale, percent_scale, thousands
from marsbench.report.canvas import (
    finished,
    handles,
    legend,
    lines,
    page_or_column,
    panels,
    whiskers,
)
from marsbench.report.figures.drawing import Drawing
from marsbench.report.material import Material, Regime, sheets

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Row(NamedTuple):
    """A figure that a row of panels shows: its name, its axis, and what one unit of it is."""

    figure: str
    label: str
    scale: str = "log"
    unit: float = 1.0


LATENCIES = (
    Row("latency_mean_s", "mean latency (s)"),
    Row("latency_p95_s", "P95 latency (s)"),
    Row("latency_p99_s", "P99 latency (s)"),
)
HOUR_S = 3600.0


def latency(material: Material) -> Iterator[Drawing]:
    """Mean, P95 and P99 latency and goodput for every backend, a column a regime."""
    alpha = f"{material.alpha:g}"
    rows = (*LATENCIES, Row(goodput_name(material.alpha), f"goodput({alpha})", "percent"))
    caption = (
        "Latency is from a session's arrival to its end, admission and tools included; "
        f"goodput({alpha}) is the share of arrived sessions that took at most {alpha} times as "
        "long as alone. Load is rate × mean GPU seconds of a session alone. Lines: mean over "
        "seeds; whiskers: lowest and highest seed."
    )
    for regimes in sheets(material.regimes):
        yield _against_load(material, regimes, rows, "Latency and goodput against load.", caption)


def collapse(material: Material) -> Iterator[Drawing]:
    """Goodput as a rate under the tokens that the GPU computes and puts out meanwhile."""
    alpha = f"{material.alpha:g}"
    rows = (
        Row("computed_tokens_per_s", "computed\n(1,000 tokens/s)", "linear", 1000.0),
        Row("output_tokens_per_s", "output\n(tokens/s)", "linear"),
        Row(
            goodput_rate_name(material.alpha),
            f"goodput({alpha})\n(sessions/h)",
            "linear",
            1 / HOUR_S,
        ),
    )
    caption = (
        "Top: tokens that the GPU computes (prompts less what was found, outputs, and what is "
        "computed again after preemptions). Middle: output tokens. Bottom: sessions an hour that "
        f"end within {alpha} times their time alone. An engine that thrashes stays busy while its "
        "goodput falls. Lines: mean over seeds; whiskers: lowest and highest seed."
    )
    headline = "Goodput at constant token throughput."
    for regimes in sheets(material.regimes):
        yield _against_load(material, regimes, rows, headline, caption)


def _against_load(
    material: Material, regimes: Sequence[Regime], rows: Sequence[Row], headline: str, caption: str
) -> Drawing:
    width = page_or_column(len(regimes))
    figure, axes = panels(
        len(rows), len(regimes), width=width, row_height=1.2, sharex="col", sharey="row"
    )
    for column, regime in enumerate(regimes):
        axes[0, column].set_title(regime.title.replace(", ", "\n"))
        for number, row in enumerate(rows):
            _panel(axes[number, column], material, regime, row)
        _load_axis(axes[-1, column], regime)
    for number, row in enumerate(rows):
        axes[number, 0].set_ylabel(row.label)
        _scale(axes[number, 0], row)
    figure.align_ylabels(axes[:, 0])
    legend(figure, handles(material.contenders))
    finished(figure)
    return Drawing(figure, headline, caption)


def _panel(axes: Axes, material: Material, regime: Regime, row: Row) -> None:
    courses: dict[str, list[tuple[float, float]]] = {}
    for name, look in material.contenders.items():
        for place in regime.places:
            low, mean, high = _values(material.matrix.at(place, name), row)
            if mean is not None:
                whiskers(axes, _load(place), low, high, look)
                courses.setdefault(name, []).append((_load(place), mean))
    lines(axes, courses, material.contenders)


def _values(point: Point | None, row: Row) -> Sequence[float | None]:
    """Lowest seed, mean and highest, in the row's unit."""
    spread = None if point is None else point.figures.get(row.figure)
    if spread is None:
        return (None, None, None)
    return [None if v is None else v / row.unit for v in (spread.low, spread.mean, spread.high)]


def _load(place: Place) -> float:
    return place.load if place.load is not None else place.rate or 0.0


def _load_axis(axes: Axes, regime: Regime) -> None:
    """Ticks where something was measured."""
    loads = [_load(place) for place in regime.places]
    by_rate = all(place.load is None and place.rate is not None for place in regime.places)
    axes.set_xlabel("sessions/s" if by_rate else "load")
    axes.set_xticks(loads, [f"{load:g}" for load in loads])
    axes.margins(x=0.1)


def _scale(axes: Axes, row: Row) -> None:
    if row.scale == "log":
        log_scale(axes, "y")
    elif row.scale == "percent":
        percent_scale(axes)
    else:
        thousands(axes)
