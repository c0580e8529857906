"""The same spans at coarser grains, so that a page never draws more than a screen can show."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from marsbench.explore.lanes import HELD, Spans

COARSEST_BINS = 512
FINER = 4
"""Each level has so many times the bins of the one before."""
ENOUGH_SPANS = 6_000
"""So few need no coarser level."""


def levels_of(spans: Spans, end_s: float) -> list[Spans]:
    """The spans themselves, and coarser ones while those are a good deal fewer."""
    levels, bins = [spans], COARSEST_BINS
    coarser = []
    while bins < len(spans):
        level = coarsened(spans, end_s / bins)
        if len(level) > 0.7 * len(spans):
            break
        coarser.append(level)
        bins *= FINER
    if len(spans) > ENOUGH_SPANS:
        levels += reversed(coarser)
    return levels


def coarsened(spans: Spans, grain_s: float) -> Spans:
    """What filled most of each bin of `grain_s`, neighbours alike as one span of round -1.

    A span of a bin or more stays as it is. Holds lie under others and are merged apart.
    """
    short = spans.end - spans.begin < grain_s
    rows = [_row(spans, place) for place in np.flatnonzero(~short)]
    for under in (False, True):
        mine = short & ((spans.state == HELD) == under)
        rows += _merged(spans, np.flatnonzero(mine), grain_s)
    return Spans.of(sorted(rows))


def _row(spans: Spans, place: np.intp) -> tuple[int, int, int, float, float]:
    return (
        int(spans.lane[place]),
        int(spans.state[place]),
        int(spans.round[place]),
        float(spans.begin[place]),
        float(spans.end[place]),
    )


def _merged(
    spans: Spans, places: NDArray[np.intp], grain_s: float
) -> Iterator[tuple[int, int, int, float, float]]:
    """Short spans that begin in one bin of one lane, as one of the state that lasted longest."""
    bins = (spans.begin[places] // grain_s).astype(np.int64)
    cells = np.stack([spans.lane[places], bins])
    order = np.lexsort((spans.begin[places], cells[1], cells[0]))
    places, cells = places[order], cells[:, order]
    if not len(places):
        return
    starts = np.flatnonzero(np.r_[True, (np.diff(cells) != 0).any(axis=0)])
    for first, last in zip(starts, [*starts[1:], len(places)], strict=True):
        group = places[first:last]
        lasted = np.bincount(spans.state[group], weights=spans.end[group] - spans.begin[group])
        number = int(spans.round[group[0]]) if len(group) == 1 else -1
        state, end = int(lasted.argmax()), float(spans.end[group].max())
        yield int(spans.lane[group[0]]), state, number, float(spans.begin[group[0]]), end
