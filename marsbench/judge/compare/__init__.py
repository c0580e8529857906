"""Runs side by side, paired by seed and session: what differs, by how much, and how surely.

    found = compare([Path("results/reproduce")], baseline="fcfs", alphas=(3.0,))
    frame(found.estimates)      # every figure of every backend at every place
    frame(found.differences)    # against the baseline, with intervals
    over_time = traces(found)   # evictions, KV usage and tools in flight over time

values    what a comparison says: rows, and the value that holds them
assemble  the way from folders to that value
read      run folders, sweep folders and capacity searches into runs at places
figures   what is taken from a run: one number a figure
points    runs of one place, their seeds put together
rows      every figure of every backend, and against the baseline (marsbench.judge.intervals)
ranking   who is ahead, and whether that holds somewhere else
traces    what happened over time

Reads run folders and nothing else. docs/compare.md defines what docs/metrics.md does not.
"""

from marsbench.judge.compare.alike import ACROSS
from marsbench.judge.compare.assemble import compare
from marsbench.judge.compare.figures import FIGURES, Figure, figure_of, goodput_name
from marsbench.judge.compare.points import Matrix, Place, Point, Spread
from marsbench.judge.compare.ranking import Held
from marsbench.judge.compare.traces import TRACE_POINTS, traces
from marsbench.judge.compare.values import (
    Area,
    Capacity,
    CdfPoint,
    Comparison,
    CurvePoint,
    Difference,
    Estimate,
    EvictionPoint,
    Fairness,
    KvPoint,
    OfOracle,
    Ranking,
    RoundRow,
    SizeRow,
    Source,
    TenantRow,
    ToolsPoint,
    Traces,
    frame,
)
from marsbench.judge.intervals import Interval

__all__ = [
    "ACROSS",
    "FIGURES",
    "TRACE_POINTS",
    "Area",
    "Capacity",
    "CdfPoint",
    "Comparison",
    "CurvePoint",
    "Difference",
    "Estimate",
    "EvictionPoint",
    "Fairness",
    "Figure",
    "Held",
    "Interval",
    "KvPoint",
    "Matrix",
    "OfOracle",
    "Place",
    "Point",
    "Ranking",
    "RoundRow",
    "SizeRow",
    "Source",
    "Spread",
    "TenantRow",
    "ToolsPoint",
    "Traces",
    "compare",
    "figure_of",
    "frame",
    "goodput_name",
    "traces",
]
