"""Runs side by side, paired by seed and session: what differs, by how much, and how surely.

    found = compare([Path("results/reproduce")], baseline="fcfs", alphas=(3.0,))
    frame(found.estimates)      # every figure of every backend at every place
    frame(found.differences)    # against the baseline, with intervals
    over_time = traces(found)   # evictions, KV usage and tools in flight over time

kinds     what is taken from a run: one entry for each kind of figure
figures   a figure as a value: its kind, and its α
read      run folders, sweep folders and capacity searches into runs at places
points    runs of one place, their seeds put together
rows      every figure of every backend, and against the baseline (marsbench.judge.intervals)
ranking   who is ahead, and whether that holds somewhere else
winners   who wins by goodput at each α and by the worst slowdown, and where that turns
curves, fairness    what the sessions of all seeds say
values    what a comparison says: rows, and the value that holds them
assemble  the way from folders to that value
traces    what happened over time

Reads run folders and nothing else. docs/compare.md defines what docs/metrics.md does not.
"""

from marsbench.judge.compare.assemble import compare
from marsbench.judge.compare.documents import frame
from marsbench.judge.compare.figures import Figure
from marsbench.judge.compare.points import Matrix, Place
from marsbench.judge.compare.traces import traces
from marsbench.judge.compare.values import Comparison, Difference, Estimate

__all__ = [
    "Comparison",
    "Difference",
    "Estimate",
    "Figure",
    "Matrix",
    "Place",
    "compare",
    "frame",
    "traces",
]
