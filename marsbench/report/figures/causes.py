"""Why is it slower: where the seconds of a mean session went, a bar a backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from marsbench.judge.compare.points import Place
from marsbench.judge.why.causes import LABELS
from marsbench.judge.why.mean import MeanSession
from marsbench.report.canvas import Drawing
from marsbench.report.figures.dots import dots, rows_of
from marsbench.report.figures.fence import Fence, fence, mark
from marsbench.report.looks import ALONE_COLOR, CAUSE_COLORS, Look
from marsbench.report.material import Absent, Material, not_run, sheets

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAR = 3.0
"""From how many times the others' seconds on a bar stretches a panel."""
ABREAST = 3
HIGH = 0.72
"""Of a row."""
CAPTION = (
    "Mean seconds of a finished session at each workload's highest load, first seed: what it takes "
    "alone, and what each cause added (docs/why.md). Found of others' work, which can only make "
    "it shorter, is left out."
)
Key = tuple[Place, str]


class Bar(NamedTuple):
    """Seconds alone, then those of each cause by name, all of them from 0 on."""

    alone_s: float
    causes: Mapping[str, float]

    @property
    def total_s(self) -> float:
        return self.alone_s + sum(self.causes.values())


def causes(material: Material) -> Iterator[Drawing]:
    """Mean completion by cause, at each regime's highest load."""
    bars = _bars(material)
    if not bars:
        raise Absent("no run given has kept its events")
    regimes = [r for r in material.regimes if any(place == r.heaviest for place, _ in bars)]
    shown = {cause for bar in bars.values() for cause, s in bar.causes.items() if s > 0}
    key = [
        _patch("alone", ALONE_COLOR),
        *(_patch(LABELS[name], color) for name, color in CAUSE_COLORS.items() if name in shown),
    ]
    names = [name for name in material.contenders if any(own == name for _, own in bars)]
    for rows in rows_of(names):
        for sheet in sheets(regimes, ABREAST):
            columns = {regime.title: regime.heaviest for regime in sheet}

            def draw(axes: Axes, place: Place, rows: Sequence[str] = rows) -> Fence | None:
                return _draw(axes, place, rows, bars, material.contenders)

            figure, beyond = dots(rows, columns, draw, "seconds", key)
            places = [*columns.values()]
            absent = not_run(material, places, rows, lambda p, n: (p, n) in bars, "No events")
            yield Drawing(figure, "Why is it slower.", f"{CAPTION}{beyond}{absent}")


def _bars(material: Material) -> dict[Key, Bar]:
    """Of the first run of each whole backend where a load is highest, if it kept its events."""
    found = {key: _bar(own) for key, of in material.means.items() for own in of.values()}
    return {key: bar for key, bar in found.items() if bar is not None}


def _bar(own: MeanSession) -> Bar | None:
    """None where no session finished, its time alone is not known, or no events were kept."""
    if own.ideal_s is None:
        return None
    return Bar(own.ideal_s, {name: max(0.0, s) for name, s in own.causes.known.items()})


def _patch(label: str, color: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=color, label=label)


def _draw(
    axes: Axes,
    place: Place,
    rows: Sequence[str],
    bars: Mapping[Key, Bar],
    looks: Mapping[str, Look],
) -> Fence | None:
    own = {name: bars[place, name] for name in rows if (place, name) in bars}
    found = fence({name: [bar.total_s] for name, bar in own.items()}, FAR)
    for y, name in enumerate(rows):
        if name not in own:
            continue
        begin = 0.0
        parts = [(ALONE_COLOR, own[name].alone_s)]
        parts += [(CAUSE_COLORS[cause], s) for cause, s in own[name].causes.items()]
        for color, seconds in parts:
            axes.barh(y, seconds, left=begin, height=HIGH, color=color, linewidth=0)
            begin += seconds
        if found is not None and name in found.beyond:
            mark(axes, "x", y, looks[name])
    axes.set_xlim(0, 1.05 * (found.end if found else max(b.total_s for b in own.values())))
    return found
