"""The points of curves: goodput against α, the slowdown's distribution, TTFT by round."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from marsbench.core.metrics.goodput import goodput
from marsbench.core.metrics.percentiles import percentile
from marsbench.core.metrics.sessions import SessionRecord
from marsbench.judge.compare.kinds import TO_ALPHA
from marsbench.judge.compare.points import Where
from marsbench.judge.compare.values import CdfPoint, CurvePoint, RoundRow
from marsbench.judge.intervals import mean, typical
from marsbench.judge.sweep.folder import Result

STEP = 0.1
"""Between two α of a curve. The area does not depend on it: that is exact."""


def curve_of(where: Where, runs: Sequence[Result], confidence: float) -> Iterator[CurvePoint]:
    """Goodput at every α from 1 to TO_ALPHA; nothing where an ideal time is missing."""
    for i in range(round((TO_ALPHA - 1) / STEP) + 1):
        alpha = round(1 + i * STEP, 9)
        shares = [goodput(run.sessions, alpha, None)["share"] for run in runs]
        known = [share for share in shares if share is not None]
        if len(known) < len(runs):
            return
        yield CurvePoint(*where, alpha, mean(known), typical(known, confidence))


def cdf_of(where: Where, sessions: Sequence[SessionRecord]) -> Iterator[CdfPoint]:
    """A point for every slowdown that occurred; sessions that did not finish keep it below 1."""
    if goodput(sessions, TO_ALPHA, None)["share"] is None:
        return
    values = sorted(s.slowdown for s in sessions if s.slowdown is not None)
    for number, (value, following) in enumerate(pairwise([*values, math.inf]), start=1):
        if value != following:
            yield CdfPoint(*where, value, number / len(sessions))


def rounds_at(where: Where, runs: Sequence[Result]) -> Iterator[RoundRow]:
    """P99 TTFT for every round index, over the rounds of all seeds; nothing without a table."""
    import pandas as pd

    if not all(run.run.has_table("rounds") for run in runs):
        return
    columns = ["round", "ttft_ready_s", "ttft_submit_s"]
    tables = [run.run.table("rounds")[columns] for run in runs]
    for index, rows in pd.concat(tables).groupby("round"):
        ready = sorted(rows["ttft_ready_s"].dropna().astype(float))
        submit = sorted(rows["ttft_submit_s"].dropna().astype(float))
        p99s = percentile(ready, 99), percentile(submit, 99)
        yield RoundRow(*where, int(str(index)), len(ready), *p99s)
