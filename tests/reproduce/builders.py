"""A matrix told in a few numbers."""

from __future__ import annotations

from marsbench.judge.compare.figures import Figure, num_asked, num_differed
from marsbench.judge.compare.points import Matrix, MatrixPoint, Place
from marsbench.text.decisions import DECIDED

HERE = Place("ilr-1", 0.9, None, "h200", "paper", "base", "qwen3-coder-30b")


def place(workload="ilr-1", load=0.9, **fields):
    return HERE._replace(workload=workload, load=load, **fields)


def point(backend, where=HERE, **figures):
    """One seed; a figure is named as it is typed."""
    return MatrixPoint(where, backend, (1,), ({Figure.parse(n): v for n, v in figures.items()},))


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
    counts = {
        **{num_differed(name): float(times) for name in DECIDED},
        **{num_asked(name): 40.0 for name in DECIDED},
    }
    for one in points:
        if one.backend == "mars":
            one.runs[0].update(counts)
    return points
