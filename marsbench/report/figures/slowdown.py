"""Slowdown: which share of sessions is good at which α, and its whole distribution."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from marsbench.judge.compare.points import Place
from marsbench.report.axes import log_scale, percent_scale
from marsbench.report.canvas import (
    Drawing,
    finished,
    handles,
    height,
    legend,
    lines,
    panels,
    titled,
)
from marsbench.report.figures.fence import Fence, fence, mark, said
from marsbench.report.figures.measures import FAR, ROOM
from marsbench.report.material import Absent, Material, not_run, sheets
from marsbench.text.words import capital

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curves = Mapping[tuple[Place, str], Sequence[tuple[float, float]]]


class CurveRow(NamedTuple):
    """A row of panels: what stands along its axes, and its curves."""

    x: str
    y: str
    curves: Curves


GOOD = (
    "goodput(α): share of arrived sessions that took at most α times as long as alone; those that "
    "failed or did not finish are never good"
)
WHOLE = (
    "slowdown: latency over the latency of the same session alone; all arrived sessions, seeds "
    "pooled, and a curve that ends below 100% has sessions that did not finish"
)
WHERE = "At each workload's highest load, on logarithmic scales."


def slowdown(material: Material) -> Iterator[Drawing]:
    """Goodput over α above, the distribution of slowdown below."""
    caption = f"Above, {GOOD}. Below, {WHOLE}. {WHERE}"
    rows = [_by_alpha(material), _by_slowdown(material)]
    yield from _drawn(material, rows, "Goodput against α, and the whole of slowdown.", caption)


def goodput_alpha(material: Material) -> Iterator[Drawing]:
    """Goodput as a curve over α at each regime's highest load."""
    caption = f"{capital(GOOD)}. {WHERE}"
    yield from _drawn(material, [_by_alpha(material)], "Goodput against α.", caption)


def slowdown_cdf(material: Material) -> Iterator[Drawing]:
    """The distribution of slowdown at each regime's highest load."""
    caption = f"{capital(WHOLE)}. {WHERE}"
    yield from _drawn(material, [_by_slowdown(material)], "Distribution of slowdown.", caption)


def _by_alpha(material: Material) -> CurveRow:
    points = material.comparison.curves
    return CurveRow("α", "goodput(α)", _curves(points, lambda point: point.alpha))


def _by_slowdown(material: Material) -> CurveRow:
    points = material.comparison.cdf
    return CurveRow("slowdown", "sessions", _curves(points, lambda point: point.slowdown))


def _curves(points: Sequence[Any], x: Callable[[Any], float]) -> Curves:
    found: defaultdict[tuple[Place, str], list[tuple[float, float]]] = defaultdict(list)
    for point in points:
        found[point.place, point.backend].append((x(point), point.share))
    return dict(found)


def _drawn(
    material: Material, rows: Sequence[CurveRow], headline: str, caption: str
) -> Iterator[Drawing]:
    if not all(row.curves for row in rows):
        raise Absent("no run has a table of sessions with the time of each alone")
    for regimes in sheets(material.regimes):
        places = [regime.heaviest for regime in regimes]
        titles = [titled(material.matrix.title(place), len(places)) for place in places]
        high = height(1.1 * len(rows), material.contenders, titles)
        figure, axes = panels(len(rows), len(places), high=high, sharey=True)
        fences = []
        for number, row in enumerate(rows):
            axes[number, 0].set_ylabel(row.y)
            for own, place in zip(axes[number], places, strict=True):
                label = f"{row.x} on {material.matrix.title(place)}"
                fences.append((label, _panel(own, material, place, row)))
        for own, title in zip(axes[0], titles, strict=True):
            own.set_title(title)
        legend(figure, handles(material.contenders))
        finished(figure)
        lacking = not_run(material, places, material.contenders)
        yield Drawing(figure, headline, caption + said(fences) + lacking)


def _panel(axes: Axes, material: Material, place: Place, row: CurveRow) -> Fence | None:
    own = {name: row.curves.get((place, name), ()) for name in material.contenders}
    lines(axes, own, material.contenders, drawstyle="steps-post")
    found = fence({name: [x for x, _ in course] for name, course in own.items()}, FAR["log"])
    if found:
        axes.set_xlim(min(x for course in own.values() for x, _ in course) / ROOM, found.end * ROOM)
        for name in found.beyond:
            share = max((share for x, share in own[name] if x <= found.end), default=0.0)
            mark(axes, "x", share, material.contenders[name])
    log_scale(axes, "x", 5)
    percent_scale(axes, "y")
    axes.set_xlabel(row.x)
    return found
