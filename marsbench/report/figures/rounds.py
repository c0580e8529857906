"""P99 TTFT by round: does a session wait longer as it ages?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from marsbench.compare.points import Place
from marsbench.compare.values import RoundRow
from marsbench.report.axes import log_scale
from marsbench.report.canvas import finished, handles, legend, lines, page_or_column, panels
from marsbench.report.figures.drawing import Drawing
from marsbench.report.material import Absent, Material, sheets

Rows = Mapping[tuple[Place, str], Sequence[RoundRow]]

FEWEST = 10
"""Rounds behind a P99 that is drawn: below it the figure would be of single sessions."""
WAYS = (("ready_p99_s", "from ready (s)"), ("submit_p99_s", "from submit (s)"))


def ttft_by_round(material: Material) -> Iterator[Drawing]:
    """From ready above, from submit below, at each regime's highest load."""
    if not material.comparison.ttft_by_round:
        raise Absent("no run given has kept its rounds")
    rows = _rows(material)
    if not rows:
        raise Absent(f"no round was reached by {FEWEST} sessions or more")
    caption = (
        "P99 over the rounds with one index, seeds pooled, at each regime's highest load; from "
        "when the round was ready (what the user feels, admission included) and from engine "
        f"submit (as the paper measures it). Rounds that fewer than {FEWEST} sessions reached are "
        "left out; below 100 sessions a P99 is all but the maximum."
    )
    for regimes in sheets(material.regimes):
        width = page_or_column(len(regimes))
        figure, axes = panels(
            2, len(regimes), width=width, row_height=1.6, sharex="col", sharey=True
        )
        for column, regime in enumerate(regimes):
            _column(axes[:, column], material, regime.heaviest, rows)
        for number, (_, label) in enumerate(WAYS):
            axes[number, 0].set_ylabel(f"P99 TTFT\n{label}")
        log_scale(axes[0, 0], "y")
        legend(figure, handles(material.contenders))
        finished(figure)
        yield Drawing(figure, "P99 time to first token by round.", caption)


def _column(axes: Any, material: Material, place: Place, rows: Rows) -> None:
    """A place from ready and from submit; no wait at all cannot be shown on a logarithm."""
    for panel, (way, _) in zip(axes, WAYS, strict=True):
        courses = {
            name: [(row.round + 1, getattr(row, way)) for row in rows[place, name]
                   if getattr(row, way)]
            for name in material.contenders
        }  # fmt: skip
        lines(panel, courses, material.contenders)
    axes[0].set_title(material.matrix.title(place).replace(", ", "\n"))
    axes[-1].set_xlabel("round")


def _rows(material: Material) -> Rows:
    rows: defaultdict[tuple[Place, str], list[RoundRow]] = defaultdict(list)
    for row in material.comparison.ttft_by_round:
        if row.rounds >= FEWEST:
            rows[row.place, row.backend].append(row)
    return rows
