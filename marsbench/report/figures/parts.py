"""Ratios to one backend: what its parts are worth, and who is faster where nobody waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from marsbench.judge.compare.figures import LATENCY
from marsbench.judge.compare.points import Place
from marsbench.judge.compare.values import Comparison, Difference
from marsbench.judge.paper.parts import exercised_at
from marsbench.report.axes import log_scale
from marsbench.report.canvas import Drawing
from marsbench.report.figures.dots import at_one, dot, dots, rows_of, span
from marsbench.report.figures.fence import Fence, fence, mark
from marsbench.report.looks import Look
from marsbench.report.material import Absent, Material, not_run, sheets
from marsbench.report.spans import bar_words
from marsbench.text.numbers import plain
from marsbench.text.words import listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE = 1.5
"""From this ratio between largest and smallest on, a scale is logarithmic."""
FAR = 3.0
"""From how many times the others' ratios on one stretches a panel."""
Ratios = Mapping[tuple[Place, str], Difference]
Marked = Sequence[tuple[Difference | None, Look]]


def ablations(material: Material) -> Iterator[Drawing]:
    """Mean latency without each part ÷ with all of them; a panel a part, a row a place."""
    bases = {base: parts for base in material.looks if (parts := _parts(material, base))}
    if not bases:
        raise Absent("no backend without one of its parts is among the runs")
    compared = {base: _ratios(material, material.against(base)) for base in bases}
    known = {name for ratios in compared.values() for _, name in ratios}
    if not any(known & parts.keys() for parts in bases.values()):
        raise Absent("no part that was left out had decided anything in a run of the whole")
    for base, parts in bases.items():
        ratios = compared[base]
        ran = {name: look for name, look in parts.items() if any(n == name for _, n in ratios)}
        idle = [_part(base, name) for name in parts if name not in ran]
        places = [p for p in material.matrix.places if any((p, name) in ratios for name in ran)]
        title = {material.matrix.title(place): place for place in places}
        for rows in rows_of(list(title)):
            yield _ablation(material, base, ran, idle, [title[row] for row in rows], ratios)


def _part(base: str, label: str) -> str:
    return label.removeprefix(f"{base}-no-")


def _parts(material: Material, base: str) -> dict[str, Look]:
    return {n: look for n, look in material.ablations.items() if n.startswith(f"{base}-no-")}


def _ablation(
    material: Material,
    base: str,
    parts: Mapping[str, Look],
    idle: Sequence[str],
    places: Sequence[Place],
    ratios: Ratios,
) -> Drawing:
    def draw(axes: Axes, name: str) -> None:
        _panel(axes, [(ratios.get((place, name)), parts[name]) for place in places], None)

    rows = [material.matrix.title(place) for place in places]
    columns = {f"without {_part(base, name)}": name for name in parts}
    figure, _ = dots(rows, columns, draw, f"÷ {base}")
    caption = (
        f"Mean latency of {base} without one of its parts over that of {base}; right of the line, "
        "the part helps. No dot: it decided nothing there. Bars: "
        f"{bar_words(material.comparison)}. Every panel has a scale of its own."
    )
    caption += f" It decided nothing anywhere: {listed(idle)}." if idle else ""
    return Drawing(figure, f"{base} without its parts.", caption + not_run(material, places, parts))


def light_load(material: Material) -> Iterator[Drawing]:
    """Mean latency ÷ that of the baseline at each regime's lowest load."""
    ratios, base = _ratios(material, material.comparison), material.comparison.baseline
    if not ratios:
        raise Absent(f"there is nothing to hold against {base}")
    light = [regime for regime in material.regimes if len(regime.places) > 1]
    shown = {name for place, name in ratios if any(place == r.lightest for r in light)}
    looks = {name: look for name, look in material.looks.items() if name in shown}
    if not light:
        raise Absent("no workload was played at more than one load")
    caption = (
        f"Mean latency over that of {base} at each workload's lowest load; left of the line, "
        f"{base} is slower. Bars: {bar_words(material.comparison)}. "
        "Every panel has a scale of its own."
    )
    for regimes in sheets(light):
        places = [regime.lightest for regime in regimes]
        for names in rows_of(list(looks)):
            columns = {material.matrix.title(place): place for place in places}
            draw = partial(_lightest, ratios, {name: looks[name] for name in names})
            figure, beyond = dots(names, columns, draw, f"÷ {base}")
            lacking = not_run(material, places, names)
            yield Drawing(figure, "Light load.", caption + beyond + lacking)


def _lightest(ratios: Ratios, looks: Mapping[str, Look], axes: Axes, place: Place) -> Fence | None:
    rows = {name: ratios.get((place, name)) for name in looks}
    found = _fence(rows)
    _panel(axes, [(rows[name], look) for name, look in looks.items()], found)
    return found


def _ratios(material: Material, comparison: Comparison) -> Ratios:
    """Where there are any, and not of a part that decided nothing there."""
    return {
        (row.place, row.backend): row
        for row in comparison.differences
        if row.figure == LATENCY and row.ratio is not None
        if exercised_at(material.matrix, row.place, row.backend)
    }


def _bar(row: Difference) -> tuple[float | None, float | None]:
    """The typical seed's interval, or from the lowest seed to the highest."""
    _, low, high = row.typical_ratio
    return (row.lowest_ratio, row.highest_ratio) if low is None else (low, high)


def _fence(rows: Mapping[str, Difference | None]) -> Fence | None:
    """By the upper ends of bars: they stretch a panel as well."""
    return fence({name: [_top(r), 1.0] for name, r in rows.items() if r is not None}, FAR)


def _top(row: Difference) -> float:
    return max(filter(None, (row.ratio, *_bar(row))), default=1.0)


def _panel(axes: Axes, rows: Marked, found: Fence | None) -> None:
    """Every row's ratio with its bar, on a scale of the panel's own around 1."""
    at_one(axes)
    ends: list[float] = []
    for line, (row, look) in enumerate(rows):
        if row is None or row.ratio is None:
            continue
        span(axes, *_bar(row), line, look)
        ends += [end for end in (row.ratio, *_bar(row)) if end is not None]
        if found is None or row.ratio <= found.end:
            dot(axes, row.ratio, line, look)
    _around_one(axes, ends, found)
    for line, (row, look) in enumerate(rows):
        if found and row is not None and _top(row) > found.end:
            mark(axes, "x", line, look)


def _around_one(axes: Axes, ends: Sequence[float], found: Fence | None) -> None:
    """With 1 among its ticks, and never narrower than 2 per cent: closer than that none differs."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    top = max([1.01, *ends]) if found is None else max(1.01, found.end)
    low = min([0.99, *ends])
    if top / low > WIDE:
        axes.set_xlim(low / 1.06, top * 1.06)
        log_scale(axes, "x")
        return
    reach = 1.08 * max(1 - low, top - 1)
    axes.set_xlim(1 - reach, 1 + reach)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(round(float(value), 6))))
