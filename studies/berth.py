"""`python -m studies.berth`: reports/berth.md, what berth reaches beyond the map.

From the folders of sweeps that have others beside it, and of `berth-misled`, which has only berth
with wrong beliefs and caps that miss as many ids.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from marsbench.judge.compare.figures import GOODPUT, LATENCY
from marsbench.judge.compare.points import Matrix, MatrixPoint
from marsbench.judge.sweep.folder import Result, SweepFolder
from marsbench.text.numbers import percent, seconds
from marsbench.text.tables import Table, as_csv, markdown
from marsbench.text.words import bulleted
from studies.map.ours import OURS, against, table, targets
from studies.map.read import matrix_of, read
from studies.pages import command, results_of

HEAD = """\
# Berth beyond the map

`berth` ([its page](../docs/policies/berth.md)) is ours. What it reaches on [the map](map.md) \
stands there; here are worlds that it was not tuned on, the same host memory for all, and wrong \
beliefs. Each figure is held against whoever of the others is best in that cell, so that the one \
it is compared with changes from row to row; the caps are three, of which the best counts.
"""
PLAIN = "fcfs"
BELIEFS = """\
goodput(3) and mean latency, of one seed. Beside `a-third-unnamed` stand the caps that miss the \
same ids: a session whose first round has none passes them uncontrolled too.
"""


def document(folders: Sequence[Path], output: Path) -> tuple[str, str]:
    """The page, and a row of CSV for each backend at each place."""
    results = {one: results_of(one, f"marsbench sweep {one.name}") for one in folders}
    text = "\n".join([HEAD, *(_part(folder, own) for folder, own in results.items())])
    rows = [row for folder, own in results.items() for row in _rows(folder.name, matrix_of(own))]
    head = ("sweep", "place", "backend", "seeds", "goodput_3", "latency_mean_s")
    return text, as_csv(Table(head, rows))


def _part(folder: Path, results: Sequence[Result]) -> str:
    """A section: each target with its table where others were played, else the beliefs."""
    head = f"## {folder.name}\n\n{len(results)} runs. "
    if not any(one.place["backend"] == PLAIN for one in results):
        return f"{head}{BELIEFS}\n{markdown(_beliefs(matrix_of(results)))}\n"
    own = against(read(folder, bounded=False).standings, results)
    hosted = any(one.run.config.settings.get("host_kv") for one in results)
    told = bulleted(targets(own, hosted=hosted))
    return f"{head}{_described(folder)}\n\n{told}\n\n{markdown(table(own))}\n"


def _described(folder: Path) -> str:
    """What the sweep's file says of itself."""
    file = tomllib.loads(SweepFolder.open(folder).plan()["file"])
    return f"{str(file['description']).strip()}."


def _rows(name: str, matrix: Matrix) -> Iterator[tuple[str | float | None, ...]]:
    for place in matrix.places:
        for point in matrix.here(place):
            figures = (point.mean(GOODPUT), point.mean(LATENCY))
            yield (name, matrix.title(place), point.backend, len(point.seeds), *figures)


def _beliefs(matrix: Matrix) -> Table:
    """A row a belief, a column a place."""
    all_ = {point.backend for place in matrix.places for point in matrix.here(place)}
    names = sorted(all_, key=lambda name: (name != OURS, name))
    rows = [(name, *(_told(matrix.at(place, name)) for place in matrix.places)) for name in names]
    return Table(("", *(matrix.title(place) for place in matrix.places)), rows, "l")


def _told(point: MatrixPoint | None) -> str | None:
    goodput, latency = (None, None) if point is None else (point.mean(GOODPUT), point.mean(LATENCY))
    return None if goodput is None else f"{percent(goodput)}, {seconds(latency)} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and its rows as CSV."""
    return command("studies.berth", __doc__, document, arguments)


if __name__ == "__main__":
    sys.exit(main())
