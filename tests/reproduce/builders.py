"""A matrix told in a few numbers."""

from __future__ import annotations

from marsbench.judge.compare.decided import LABELS
from marsbench.judge.compare.points import Matrix, Place, Point, Spread

HERE = Place("ilr-1", 0.9, None, "h200", "paper", "base", "qwen3-coder-30b")


def place(workload="ilr-1", load=0.9, **fields):
    return HERE._replace(workload=workload, load=load, **fields)


def point(backend, where=HERE, **figures):
    spreads = {name: Spread(value, value, value) for name, value in figures.items()}
    return Point(where, backend, 1, spreads)


def race(where=HERE, **latencies):
    """A contended place: FCFS is good to half of the sessions, the others to all."""
    return [
        point(
            name.replace("_", "-"),
            where,
            latency_mean_s=value,
            goodput_3=0.5 if name == "fcfs" else 1.0,
        )
        for name, value in latencies.items()
    ]


def matrix(*points):
    return Matrix([p for group in points for p in (group if isinstance(group, list) else [group])])


def at_work(points, times=7):
    """The same, where MARS decided each thing so often, of 40 times."""
    counts = {name: times if name.endswith("differed") else 40 for name in LABELS}
    for one in points:
        if one.backend == "mars":
            one.figures.update({name: Spread(n, n, n) for name, n in counts.items()})
    return points
