"""What the MARS paper reports of mean and tail latency, beside every cell of the map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.compare.points import MatrixPoint, pair_of
from marsbench.judge.intervals import mean
from marsbench.judge.paper.verdicts import NEAR
from marsbench.text.numbers import times
from marsbench.text.tables import Table
from studies.map.parts import WHOLES
from studies.map.standing import Standing

HOST = "infercept"
GPU_ONLY = "infercept-gpu-only"


class Published(NamedTuple):
    """A ratio that the paper gives as a range over its points: baseline ÷ MARS."""

    what: str
    figure: Figure
    low: float
    high: float


REPORTED = (
    Published("mean latency", LATENCY, 1.44, 5.94),
    Published("P95 latency", Figure("latency_p95_s"), 1.29, 3.37),
)
"""Of Qwen3-Coder-30B, against the strongest baseline (MARS, evaluation and its headline)."""

STRONGEST = (
    ("the strongest", ("fcfs", HOST, "continuum")),
    ("the strongest without host memory", ("fcfs", GPU_ONLY, "continuum")),
)
"""Baselines that are in every cell; the paper's InferCept is without host memory."""


class Reached(NamedTuple):
    """The ratio in one cell."""

    times: float
    title: str


def published_table(standings: Sequence[Standing]) -> Table:
    """A row a published range, baseline and reading of MARS."""
    columns = ("figure", "against", "of", "the paper", "most, and where", "cells at its least",
               "cells at its most")  # fmt: skip
    return Table(columns, [*_rows(standings)], "lllll")


def _rows(standings: Sequence[Standing]) -> Iterator[tuple[str | None, ...]]:
    alone = tuple((f"`{name}` alone", (name,)) for name in ("fcfs", "continuum", GPU_ONLY, HOST))
    for one in REPORTED:
        for against, names in (*STRONGEST, *alone):
            for whole in WHOLES:
                found = [r for s in standings if (r := _reached(s, one.figure, names, whole))]
                if found:
                    yield (one.what, against, f"`{whole}`", *_told(one, found))


def _reached(one: Standing, figure: Figure, names: Sequence[str], whole: str) -> Reached | None:
    """None where one of them was not played, or the figure was not measured."""
    own = one.points.get(whole)
    ratios = [_ratio(figure, own, one.points.get(name)) for name in names]
    known = [ratio for ratio in ratios if ratio is not None]
    return Reached(min(known), one.world.title) if len(known) == len(names) else None


def _ratio(figure: Figure, own: MatrixPoint | None, other: MatrixPoint | None) -> float | None:
    """The other ÷ MARS, of the seeds that both have."""
    pair = None if own is None or other is None else pair_of(own, other)
    sides = None if pair is None else pair.sides(figure)
    return None if sides is None else mean(sides[1]) / mean(sides[0])


def _told(one: Published, found: Sequence[Reached]) -> tuple[str, str, str, str]:
    most = max(found, key=lambda r: (r.times, r.title))
    low, high = (sum(r.times >= NEAR * bar for r in found) for bar in (one.low, one.high))
    return (
        f"{times(one.low)} to {times(one.high)}",
        f"{times(most.times)}: {most.title}",
        f"{low} of {len(found)}",
        f"{high} of {len(found)}",
    )
