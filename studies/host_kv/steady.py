"""Where a place was played with more sessions too: the steady part of both, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from marsbench.text.numbers import UNMEASURED, fixed, percent, seconds
from studies.host_kv.rows import Row
from studies.host_kv.tables import heading, line, name_of

ABOUT = (
    "Both sides are of the sessions that arrived in the steady window (the last three quarters), a "
    "figure a seed; what stands above counts all. Drift: by how many the backlog grows a session, "
    "with the lower end of its 95 % interval; above 0 the run was not steady. Of several caps the "
    "best by goodput, then latency, has a star.\n"
)


def section(rows: Sequence[Row]) -> list[str]:
    """The part of the page; none where all runs have as many sessions."""
    fewest = min(row.sessions for row in rows)
    larger = [row for row in rows if row.sessions > fewest]
    if not larger:
        return []
    most = max(row.sessions for row in larger)
    head = ("place", "engine", "backend", f"{fewest}: goodput", "mean s")
    more = (f"{most}: goodput", "mean s", "drift (low)")
    lines = [f"## With {most} sessions\n", ABOUT, *heading((*head, *more))]
    best = _best_caps(larger)
    for key in dict.fromkeys(map(_key, larger)):
        own = [row for row in larger if _key(row) == key]
        few = [row for row in rows if row.sessions == fewest and _key(row) == key]
        star = " *" if key in best else ""
        names = (name_of(own[0].place), own[0].engine, own[0].backend + star)
        drifts = _each(own, lambda row: f"{fixed(row.drift, 2)} ({fixed(row.drift_low, 2)})")
        lines.append(line((*names, *_figures(few), *_figures(own), drifts)))
    return ["\n".join([*lines, ""])]


Key = tuple[tuple[str, float | None], str, str]


def _key(row: Row) -> Key:
    return row.place, row.engine, row.backend


def _figures(rows: Sequence[Row]) -> tuple[str, str]:
    return (
        _each(rows, lambda row: percent(row.steady_goodput, 0, " %")),
        _each(rows, lambda row: seconds(row.steady_latency_s)),
    )


def _each(rows: Iterable[Row], say: Callable[[Row], str]) -> str:
    """A figure a seed."""
    return ", ".join(map(say, sorted(rows, key=lambda row: row.seed or 0))) or UNMEASURED


def _best_caps(rows: Sequence[Row]) -> set[Key]:
    """At each place and engine the best of the caps that were played."""
    capped = [row for row in rows if "cap" in row.backend]
    found = set[Key]()
    for place, engine in dict.fromkeys((row.place, row.engine) for row in capped):
        keys = {_key(row) for row in capped if (row.place, row.engine) == (place, engine)}
        found.add(max(sorted(keys), key=lambda key: _worth([r for r in capped if _key(r) == key])))
    return found


def _worth(rows: Sequence[Row]) -> tuple[float, float]:
    """Of one cap, all seeds: more is better."""
    goodput = sum(row.steady_goodput or 0.0 for row in rows) / len(rows)
    return goodput, -sum(row.steady_latency_s or 0.0 for row in rows) / len(rows)
