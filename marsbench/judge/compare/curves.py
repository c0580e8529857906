"""The points of curves: goodput against α, the slowdown's distribution, TTFT by round."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from marsbench.core.metrics.percentiles import percentile
from marsbench.judge.compare.groups import Group
from marsbench.judge.compare.sessions import TO_ALPHA, Sessions, share_within
from marsbench.judge.compare.values import Area, CdfPoint, CurvePoint, RoundRow
from marsbench.judge.intervals import UNKNOWN, mean, typical

STEP = 0.1
"""Between two α of a curve. The area does not depend on it: that is exact."""


def curve_of(group: Group, confidence: float) -> Iterator[CurvePoint]:
    """Goodput at every α from 1 to TO_ALPHA; nothing where an ideal time is missing."""
    if not all(run.sessions.known for run in group.runs.values()):
        return
    columns = [run.sessions.slowdown for run in group.runs.values()]
    for i in range(round((TO_ALPHA - 1) / STEP) + 1):
        alpha = round(1 + i * STEP, 9)
        shares = [float(share_within(slowdown, alpha)) for slowdown in columns]
        middle = typical(shares, confidence)
        yield CurvePoint(group.place, group.backend, alpha, mean(shares), middle)


def area_of(group: Group, confidence: float) -> Area:
    """The area under that curve."""
    areas = group.values("goodput_area")
    if areas is None:
        return Area(group.place, group.backend, TO_ALPHA, None, UNKNOWN)
    middle = typical(areas, confidence)
    return Area(group.place, group.backend, TO_ALPHA, mean(areas), middle)


def cdf_of(group: Group, sessions: Sessions) -> Iterator[CdfPoint]:
    """A point for every slowdown that occurred; sessions that did not finish keep it below 1."""
    import numpy as np

    if not sessions.known:
        return
    values = np.sort(sessions.slowdown)
    last = [*(a != b for a, b in pairwise(values)), True]
    for i, value in enumerate(values):
        if last[i] and np.isfinite(value):
            yield CdfPoint(group.place, group.backend, float(value), (i + 1) / len(values))


def rounds_at(group: Group) -> Iterator[RoundRow]:
    """P99 TTFT for every round index, over the rounds of all seeds; nothing without a table."""
    import pandas as pd

    if not all(run.folder.has_table("rounds") for run in group.runs.values()):
        return
    columns = ["round", "ttft_ready_s", "ttft_submit_s"]
    tables = [run.folder.table("rounds")[columns] for run in group.runs.values()]
    for index, rows in pd.concat(tables).groupby("round"):
        ready = sorted(rows["ttft_ready_s"].dropna().astype(float))
        submit = sorted(rows["ttft_submit_s"].dropna().astype(float))
        yield RoundRow(
            group.place,
            group.backend,
            int(str(index)),
            len(ready),
            percentile(ready, 99),
            percentile(submit, 99),
        )
