"""Which cells of a sweep are played: all of them, or more seeds only where it is open who leads.

Every cell is played with the first seeds. Where several backends are then as near to the best as a
margin, these are played with the next seed, and so on: seed after seed, over fewer and fewer
backends. What one seed leaves no doubt of keeps that seed, and whoever reads it says so.

What the k-th seed is asked for depends on the seeds before it alone, so that a sweep that was
stopped asks for the same again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from marsbench.core.metrics.goodput import alpha_key
from marsbench.judge.intervals import digits, mean
from marsbench.judge.sweep.cells import Cell, cells_of, product_of
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.spec import Refine, SweepFile


class Lead(NamedTuple):
    """What decides who leads: the share of sessions within the first α, and the mean latency."""

    goodput: float
    latency_s: float


Scores = Mapping[str, Lead | None]
"""By the name of a cell; None where it has not gone to its end, or has no such figures."""


def asked_for(
    sweep: SweepFile, place: Path, folder: SweepFolder, hashes: Mapping[str, str]
) -> list[Cell]:
    """The cells to be played, as far as what is complete says it. hashes: of all by their names."""
    cells = cells_of(sweep, place)
    if all(part.refine is None for part in sweep.products):
        return cells
    complete = (name for name, inputs in hashes.items() if folder.is_complete(name, inputs))
    scores = {name: _lead(folder, name) for name in complete}
    parts = [(part, product_of(part, place)) for part in sweep.products]
    names = {cell.name for part, own in parts for cell in _of_part(part, own, scores)}
    return [cell for cell in cells if cell.name in names]


def _of_part(part: SweepFile, cells: Sequence[Cell], scores: Scores) -> Iterator[Cell]:
    if part.refine is None:
        yield from cells
        return
    points: defaultdict[tuple[object, ...], list[Cell]] = defaultdict(list)
    for cell in cells:
        points[cell.point].append(cell)
    for own in points.values():
        yield from _of_point(part.refine, own, part.seeds, scores)


def _of_point(
    refine: Refine, cells: Sequence[Cell], seeds: Sequence[int], scores: Scores
) -> Iterator[Cell]:
    """The cells of one place, over all its backends."""
    yield from (cell for cell in cells if cell.knobs.seed in seeds[: refine.screen])
    open_ = set(refine.among) or {cell.backend.key for cell in cells}
    for number in range(refine.screen, len(seeds)):
        means = _means(cells, open_, seeds[:number], scores)
        open_ = _open(means, refine)
        if len(open_) < 2:
            return
        following = (c for c in cells if c.backend.key in open_ and c.knobs.seed == seeds[number])
        yield from following


def _open(means: Mapping[str, Lead], refine: Refine) -> set[str]:
    """Who gets the next seed: the leaders, and those that always do, with the best other."""
    found = leaders(means, refine.margin)[: refine.most]
    named = [name for name in refine.always if name in means]
    if named and not set(found) - set(named):
        found += leaders({n: lead for n, lead in means.items() if n not in named}, 0.0)[:1]
    return {*found, *named}


def _means(
    cells: Sequence[Cell], backends: set[str], seeds: Sequence[int], scores: Scores
) -> dict[str, Lead]:
    """Of every backend over these seeds; nothing while one of them is missing."""
    own: defaultdict[str, list[Lead | None]] = defaultdict(list)
    for cell in cells:
        if cell.backend.key in backends and cell.knobs.seed in seeds:
            own[cell.backend.key].append(scores.get(cell.name))
    if any(lead is None for leads in own.values() for lead in leads):
        return {}
    return {name: _mean([lead for lead in leads if lead]) for name, leads in own.items()}


def _mean(leads: Sequence[Lead]) -> Lead:
    return Lead(mean([one.goodput for one in leads]), mean([one.latency_s for one in leads]))


def leaders(leads: Mapping[str, Lead], margin: float) -> list[str]:
    """Who may lead: the best, and all within the margin of it in goodput and in latency.

    The best has the lowest latency of those within the margin of the highest goodput; the others
    follow by their latency, equal ones by their names.
    """
    if not leads:
        return []
    highest = max(lead.goodput for lead in leads.values())
    near = {name: lead for name, lead in leads.items() if lead.goodput >= highest - margin}
    lowest = min(lead.latency_s for lead in near.values())
    found = [name for name, lead in near.items() if lead.latency_s <= lowest * (1 + margin)]
    return sorted(found, key=lambda name: (digits(near[name].latency_s), name))


def _lead(folder: SweepFolder, name: str) -> Lead | None:
    result = folder.result(name)
    goodput = result.summary["goodput"][alpha_key(result.run.config.alphas[0])]["share"]
    latency = result.summary["latency"]["mean"]
    return None if goodput is None or latency is None else Lead(goodput, latency)
