"""What all figures share: sizes, fonts, legends, and the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marsbench.report.looks import Look
from marsbench.text.words import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

PAGE = 7.0
"""Inches: the width of the text of a page, and of every figure."""
TYPE = 7.0
"""Points: no type of a figure is smaller."""
POINTS = 72.0
"""Points in an inch."""
LINE, BELOW = 0.13, 0.4
"""Inches: a line of a legend or a title, and what stands under the panels."""
HIGHEST = 3.6
"""Inches: two figures of this height, their captions and headings fill a page."""
LETTER = 4.5
"""Points that a letter of this type takes, about; wide ones in a name make up for narrow ones."""
HANDLE = 30.0
"""Points beside a legend's name: its line, and the gaps around it."""
LONGEST = 40
"""Letters of a name in a legend; longer ones are wrapped."""
MARKS = 8
"""Markers on a line of more points."""
GREY = "#666666"
FONT = "DejaVu Sans"

Course = Sequence[tuple[float, float]]
"""The points of a line."""

# A hundredth of a point is finer than any printer; more digits are half of an SVG.
# Of paths only: a transformation scales letters, and there every digit shows.
_PATH = re.compile(rb'\bd="[^"]*"')
_LONG_FRACTION = re.compile(rb"(\d\.\d\d)\d+")
# Glyph names, ids and dates would otherwise differ from run to run.
_BARE = {"Date": None, "Creator": None, "Format": None, "Type": None}
METADATA: Mapping[str, Mapping[str, None]] = {
    "svg": _BARE,
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
RC = {
    "font.family": FONT,
    "font.size": TYPE,
    "axes.titlesize": 7.5,
    "axes.labelsize": TYPE,
    "xtick.labelsize": TYPE,
    "ytick.labelsize": TYPE,
    "legend.fontsize": TYPE,
    "axes.titlepad": 4.5,
    "axes.labelpad": 2.0,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#333333",
    "grid.linewidth": 0.4,
    "grid.color": "#DDDDDD",
    "axes.grid": True,
    "axes.axisbelow": True,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "xtick.major.size": 2.0,
    "ytick.major.size": 2.0,
    "xtick.minor.size": 1.0,
    "ytick.minor.size": 1.0,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "svg.hashsalt": "marsbench",
    "pdf.fonttype": 42,
    "figure.dpi": 100.0,
    "savefig.dpi": 300.0,
    "figure.constrained_layout.h_pad": 0.02,
    "figure.constrained_layout.w_pad": 0.02,
    "figure.constrained_layout.hspace": 0.03,
    "figure.constrained_layout.wspace": 0.03,
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a figure shows: axes, a headline, and the caption that says how to read them."""

    figure: Figure
    headline: str
    caption: str


@contextmanager
def our_style(**more: Any) -> Iterator[None]:
    """seaborn's ticks for paper, in our sizes; `more` are settings of matplotlib."""
    import matplotlib as mpl
    import seaborn as sns  # type: ignore[import-untyped]

    theme = {**sns.plotting_context("paper"), **sns.axes_style("ticks"), **RC, **more}
    with mpl.rc_context(theme):
        yield


def panels(rows: int, columns: int, *, high: float, **shared: Any) -> tuple[Figure, Any]:
    """A figure as wide as a page and its axes, an array of rows × columns."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE, high), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def titled(title: str, abreast: float) -> str:
    """A panel's title, wrapped to its share of the page's width."""
    return wrapped(title.replace(", ", "\n"), int(PAGE * POINTS / abreast / LETTER) - 2, 4)


def height(panels_high: float, names: Iterable[str] = (), titles: Iterable[str] = ()) -> float:
    """Inches of a figure: its panels, a legend of these names, titles, and what is below.

    Panels give way where names take many lines: two figures are to stand on a page.
    """
    labels = [wrapped(name, LONGEST) for name in names]
    lines = max((title.count("\n") + 1 for title in titles), default=0)
    if labels:
        deepest = max(label.count("\n") + 1 for label in labels)
        lines += -(-len(labels) // _columns(labels)) * deepest
    return min(panels_high + LINE * lines + BELOW, HIGHEST)


def _columns(labels: Sequence[str]) -> int:
    """Of a legend: as many as its longest name leaves room for."""
    longest = max(len(line) for label in labels for line in label.split("\n"))
    return max(1, min(int(PAGE * POINTS / (longest * LETTER + HANDLE)), len(labels)))


def to_bytes(figure: Figure, form: str, *, text: bool = False) -> bytes:
    """A figure as svg, pdf or png. With `text` an SVG keeps its text, for one who has the font."""
    out = io.BytesIO()
    with our_style(**{"svg.fonttype": "none" if text else "path"}):
        figure.savefig(out, format=form, metadata=dict(METADATA[form]))
    content = out.getvalue()
    return _PATH.sub(_rounded, content) if form == "svg" else content


def _rounded(path: re.Match[bytes]) -> bytes:
    return _LONG_FRACTION.sub(rb"\1", path[0])


def lines(
    axes: Axes, courses: Mapping[str, Course], looks: Mapping[str, Look], **more: Any
) -> None:
    """A line for each backend that has points; `more` is for all of them."""
    import pandas as pd
    import seaborn as sns

    shown = [name for name in looks if courses.get(name)]
    rows = [(name, *point) for name in shown for point in courses[name]]
    if not rows:
        return
    labels = axes.get_xlabel(), axes.get_ylabel()
    sns.lineplot(
        pd.DataFrame(rows, columns=["backend", "x", "y"]),
        x="x", y="y", hue="backend", style="backend", hue_order=shown, style_order=shown,
        palette={name: looks[name].color for name in shown},
        markers={name: looks[name].marker for name in shown},
        dashes={name: looks[name].dash for name in shown},
        estimator=None, errorbar=None, sort=False, legend=False, ax=axes,
    )  # fmt: skip
    axes.set(xlabel=labels[0], ylabel=labels[1])
    for offset, (name, line) in enumerate(zip(shown, axes.lines[-len(shown) :], strict=True)):
        line.set(**_line_options(looks[name]), **more)
        _spread_marks(line, len(courses[name]), offset / len(shown))


def _spread_marks(line: Line2D, points: int, offset: float) -> None:
    """Few markers on a line of many points, and not where the others have theirs."""
    if points > MARKS:
        every = points // MARKS
        line.set_markevery((int(offset * every), every))


def _line_options(look: Look) -> dict[str, Any]:
    return {
        "color": look.color,
        "linestyle": (0, look.dash) if look.dash else "-",
        "linewidth": look.width,
        "marker": look.marker,
        "markersize": 5.0 if look.marker == "*" else 3.4,
        "markerfacecolor": "white" if look.hollow else look.color,
        "markeredgecolor": look.color if look.hollow else "white",
        "markeredgewidth": 0.7 if look.hollow else 0.3,
        "zorder": 2 + look.width,
    }


def whiskers(
    axes: Axes, x: float, low: float | None, high: float | None, look: Look, **more: Any
) -> None:
    """From the lowest to the highest seed, behind the line."""
    if low is not None and high is not None and high > low:
        options: dict[str, Any] = {"color": look.color, "linewidth": 0.6, "alpha": 0.6, "zorder": 1}
        axes.plot([x, x], [low, high], **(options | more))


def handles(looks: Mapping[str, Look]) -> list[Line2D]:
    """What a legend shows for each backend."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], label=wrapped(name, LONGEST), **_line_options(look))
        for name, look in looks.items()
    ]


def legend(figure: Figure, entries: Sequence[Any]) -> None:
    """A legend above all panels, with as many columns as its longest name leaves room for."""
    figure.legend(
        handles=list(entries),
        loc="outside upper center",
        ncols=_columns([str(entry.get_label()) for entry in entries]),
        frameon=False,
        handlelength=2.6,
        columnspacing=1.2,
        handletextpad=0.5,
        borderaxespad=0.2,
        labelspacing=0.25,
    )


def finished(figure: Figure) -> None:
    """Without the frame's upper and right sides, and laid out for good.

    A layout done anew at every save would move things by a hair, and so change the bytes.
    """
    import seaborn as sns

    sns.despine(fig=figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
