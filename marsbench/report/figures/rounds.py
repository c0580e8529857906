"""P99 TTFT by round: does a session wait longer as it ages?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from marsbench.judge.compare.figures import Figure
from marsbench.judge.compare.points import Place
from marsbench.judge.compare.values import RoundRow
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
from marsbench.report.figures.fence import Fence, mark, said
from marsbench.report.figures.measures import Measure, scaled
from marsbench.report.material import Absent, Material, not_run, sheets

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Mapping[tuple[Place, str], Sequence[RoundRow]]

FEWEST = 10
"""Rounds behind a P99 that is drawn: below it the figure would be of single sessions."""
WAYS = {
    "ready_p99_s": Measure(Figure("ttft_ready_p99_s"), "from ready (s)"),
    "submit_p99_s": Measure(Figure("ttft_submit_p99_s"), "from submit (s)"),
}
"""By the column of a row."""


def ttft_by_round(material: Material) -> Iterator[Drawing]:
    """From ready above, from submit below, at each regime's highest load."""
    if not material.comparison.ttft_by_round:
        raise Absent("no run given has kept its rounds")
    rows = _rows(material)
    if not rows:
        raise Absent(f"no round was reached by {FEWEST} sessions or more")
    caption = (
        "P99 over the rounds with one index, seeds pooled, at each workload's highest load; from "
        "when the round was ready (what the user feels, admission included) and from engine "
        f"submit (what the engine did). Rounds that fewer than {FEWEST} sessions reached are left "
        "out; below 100 sessions a P99 is all but the maximum."
    )
    for regimes in sheets(material.regimes):
        places = [regime.heaviest for regime in regimes if _seen(rows, regime.heaviest)]
        if places:
            figure, fences = _figure(material, places, rows)
            lacking = not_run(
                material, [r.heaviest for r in regimes], material.contenders,
                lambda *key: bool(rows.get(key)), "Too few rounds, or not run",
            )  # fmt: skip
            headline = "P99 time to first token by round."
            yield Drawing(figure, headline, caption + said(fences) + lacking)


def _seen(rows: Rows, place: Place) -> bool:
    return any(where == place for where, _ in rows)


def _figure(
    material: Material, places: Sequence[Place], rows: Rows
) -> tuple[Any, list[tuple[str, Fence | None]]]:
    titles = [titled(material.matrix.title(place), len(places)) for place in places]
    high = height(2.0, material.contenders, titles)
    figure, axes = panels(2, len(places), high=high, sharex="col", sharey=True)
    for above, below, title in zip(*axes, titles, strict=True):
        above.set_title(title)
        below.set_xlabel("round")
        below.locator_params(axis="x", nbins=5, integer=True)
    for own, measure in zip(axes[:, 0], WAYS.values(), strict=True):
        own.set_ylabel(f"P99 TTFT\n{measure.label}")
    shown = [_courses(material, place, rows, way) for way in WAYS for place in places]
    values: defaultdict[str, list[float]] = defaultdict(list)
    for own, courses in zip(axes.flat, shown, strict=True):
        lines(own, courses, material.contenders)
        for name, course in courses.items():
            values[name] += [seconds for _, seconds in course]
    found = scaled(axes[0, 0], "y", WAYS["ready_p99_s"], values)
    for own, courses in zip(axes.flat, shown, strict=True):
        _marks(own, material, courses, found)
    legend(figure, handles(material.contenders))
    finished(figure)
    return figure, [("P99 TTFT, s", found)]


def _marks(
    axes: Axes,
    material: Material,
    courses: Mapping[str, Sequence[tuple[float, float]]],
    found: Fence | None,
) -> None:
    """Where a course goes furthest beyond the end of the axis."""
    for name in found.beyond if found else ():
        round_, seconds = max(courses.get(name) or [(0.0, 0.0)], key=lambda point: point[1])
        if found and seconds > found.end:
            mark(axes, "y", round_, material.contenders[name])


def _courses(
    material: Material, place: Place, rows: Rows, way: str
) -> dict[str, list[tuple[float, float]]]:
    """Seconds by round, the first one 1; no wait at all cannot be shown on a logarithm."""
    return {
        name: [(row.round + 1, seconds) for row in rows.get((place, name), ())
               if (seconds := getattr(row, way))]
        for name in material.contenders
    }  # fmt: skip


def _rows(material: Material) -> Rows:
    rows: defaultdict[tuple[Place, str], list[RoundRow]] = defaultdict(list)
    for row in material.comparison.ttft_by_round:
        if row.rounds >= FEWEST:
            rows[row.place, row.backend].append(row)
    return dict(rows)
