"""What no schedule can pass in a cell of the map, computed once and kept beside the sweep.

Sessions that are in flight at the start are left out: nobody's latency is theirs, and a schedule of
all sessions is one of the others too, so that what bounds those alone bounds them among all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from marsbench.bounds import bounds
from marsbench.core.session import is_warm
from marsbench.judge.compare.points import Place
from marsbench.judge.sweep.cells import Cell
from marsbench.judge.sweep.folder import write_json
from marsbench.judge.sweep.play import inputs_hash, job_of

KEPT = "bounds.json"


class Bound(NamedTuple):
    """latency_s: the mean, at least. goodput: the share within 3 times alone, at most."""

    latency_s: float
    goodput: float


def bounds_of(folder: Path, cells: Mapping[Place, Cell]) -> dict[Place, Bound]:
    """By place, of the first seed's cell there; kept in the folder, and taken from there."""
    kept = _kept(folder)
    found = {}
    for place, cell in cells.items():
        key = inputs_hash(cell)
        if key not in kept:
            sys.stderr.write(f"bounds of {cell.name}\n")
            kept[key] = _bound(cell)
            write_json(folder / KEPT, kept)
        found[place] = Bound(*kept[key])
    return found


def _kept(folder: Path) -> dict[str, Bound]:
    path = folder / KEPT
    record: dict[str, Bound] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return record


def _bound(cell: Cell) -> Bound:
    job = job_of(cell, Path())
    own = tuple(session for session in job.workload.sessions if not is_warm(session.id))
    workload, request = replace(job.workload, sessions=own), job.request
    found = bounds(
        workload,
        request.hardware,
        request.settings,
        request.tool_cores,
        job.alone.ideal_s,
        (3.0,),
    )
    return Bound(found.mean_latency_s, found.good[3.0] / found.num_sessions)


def first_cells(cells: Iterator[tuple[Place, Cell]]) -> dict[Place, Cell]:
    """One cell a place, of its lowest seed."""
    found: dict[Place, Cell] = {}
    for place, cell in cells:
        if place not in found or (cell.knobs.seed or 0) < (found[place].knobs.seed or 0):
            found[place] = cell
    return found
