"""The folder of the map's sweep, as cells of the map."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marsbench.errors import UsageError
from marsbench.judge.compare.figures import Figures, figures_of
from marsbench.judge.compare.points import Matrix, Place, Seed, Where, place_of, points_of
from marsbench.judge.sweep.cells import Cell, cells_of
from marsbench.judge.sweep.folder import Result, SweepFolder
from marsbench.judge.sweep.spec import SweepFile, find_sweep
from studies.map.bounded import Bound, bounds_of, first_cells
from studies.map.parts import MODED, Shares, mean_shares, shares_of
from studies.map.standing import CAP, Standing, standing
from studies.map.worlds import World, world_of


@dataclass(frozen=True, slots=True)
class Map:
    """All that the page is written from.

    planned: runs that the sweep has asked for so far. shares: of the run's length, by the world's
    title and the backend. drifts: of the best's backlog, with its interval, by place; the lowest
    seed's. bounds: empty where they were not asked for. open: cells of which somebody is missing.
    """

    name: str
    matrix: Matrix
    results: Sequence[Result]
    planned: int
    standings: Sequence[Standing]
    shares: Mapping[tuple[str, str], Shares]
    drifts: Mapping[Place, tuple[float, float, float]]
    bounds: Mapping[Place, Bound]
    open: int


def read(path: Path, bounded: bool) -> Map:
    """The map of a sweep, as far as it has come. Raises UsageError where nothing is there yet."""
    folder = SweepFolder.open(path)
    plan, results = folder.plan(), list(folder.results())
    if not results:
        raise UsageError(f"{path} holds no complete run yet; go on with `marsbench sweep`.")
    file = SweepFile.model_validate(tomllib.loads(plan["file"]))
    cells = {cell.name: cell for cell in cells_of(file, _home(plan["name"]))}
    among = contenders(file)
    done = [(cells[result.run.path.name], result) for result in results]
    here = list(_judged(done, [cells[name] for name in plan["cells"]], among))
    matrix = matrix_of([result for _, result in here])
    worlds = {place_of(result): world_of(cell, result) for cell, result in reversed(here)}
    standings = _standings(matrix, worlds, among)
    if not standings:
        raise UsageError(f"{path} holds no complete cell of the map yet; go on with it.")
    judged = {one.place for one in standings}
    first = first_cells((p, cell) for cell, result in here if (p := place_of(result)) in judged)
    return Map(
        name=plan["name"],
        matrix=matrix,
        results=results,
        planned=len(plan["cells"]),
        standings=standings,
        shares=_shares([result for _, result in here], worlds),
        drifts=_drifts(results, standings),
        bounds=bounds_of(path, first) if bounded else {},
        open=len({cell.point for cell in cells.values() if _leads(cell, among)}) - len(standings),
    )


Done = tuple[Cell, Result]


def _judged(done: Sequence[Done], asked: Sequence[Cell], among: set[str]) -> Iterator[Done]:
    """The runs of a place and seed of which all that may lead there have been played.

    Who has not been played yet may be the best: a cell of the map waits for all of them, and so
    does each further seed, with those after it.
    """
    names = {cell.name for cell, _ in done}
    ends: dict[tuple[object, ...], int] = {}
    for cell in asked:
        if cell.name not in names and _leads(cell, among):
            ends[cell.point] = min(_seed(cell), ends.get(cell.point, _seed(cell)))
    for cell, result in done:
        whole = cell.point not in ends or _seed(cell) < ends[cell.point]
        if whole or not _leads(cell, among):
            yield cell, result


def _seed(cell: Cell) -> int:
    return cell.knobs.seed or 0


def _leads(cell: Cell, among: set[str]) -> bool:
    return cell.backend.key in among or cell.backend.name == CAP


def contenders(file: SweepFile) -> set[str]:
    """Those that may lead, by what the sweep says; the best cap of those tried is one of them."""
    found: set[str] = set()
    for part in file.products:
        if part.refine is not None:
            found |= set(part.refine.among) or {entry.key for entry in part.backends}
    named = found or {entry.key for part in file.products for entry in part.backends}
    capped = {name for name in named if name.startswith(CAP)}
    return (named - capped) | ({CAP} if capped else set())


def _home(name: str) -> Path:
    """Where the sweep's file lies, which paths in it are relative to."""
    try:
        return find_sweep(name).parent
    except UsageError:
        return Path.cwd()


def matrix_of(results: Sequence[Result]) -> Matrix:
    """Every figure of these runs, by place, backend and seed."""
    return Matrix(points_of(_figures(results)))


def _figures(results: Sequence[Result]) -> Iterator[tuple[Where, Seed, Figures]]:
    for result in results:
        where = place_of(result), str(result.place["backend"])
        yield where, result.place["seed"], figures_of(result)


def _standings(matrix: Matrix, worlds: Mapping[Place, World], among: set[str]) -> list[Standing]:
    found = (standing(matrix, place, worlds[place], among) for place in matrix.places)
    known = [one for one in found if one is not None]
    return sorted(known, key=lambda one: _order(one.world))


def _order(world: World) -> tuple[object, ...]:
    """The plane first, then the cuts; short pauses, little KV and light loads first."""
    return len(world.cuts), world.sizes, world.pause_s, world.cores, world.kv_tokens, world.load


def _shares(
    results: Sequence[Result], worlds: Mapping[Place, World]
) -> dict[tuple[str, str], Shares]:
    runs: defaultdict[tuple[str, str], list[Shares]] = defaultdict(list)
    for result in results:
        backend = str(result.place["backend"])
        if backend in MODED:
            runs[worlds[place_of(result)].title, backend].append(shares_of(result))
    return {where: mean_shares(own) for where, own in runs.items()}


def _drifts(
    results: Sequence[Result], standings: Sequence[Standing]
) -> dict[Place, tuple[float, float, float]]:
    best = {one.place: one.cap if one.best == "fcfs-cap" else one.best for one in standings}
    found: dict[Place, tuple[float, float, float]] = {}
    for result in results:
        place, steady = place_of(result), result.summary["steady"]
        backlog = steady["backlog"] if steady else None
        if backlog and place not in found and best.get(place) == result.place["backend"]:
            found[place] = backlog["drift"], backlog["drift_low"], backlog["drift_high"]
    return found
