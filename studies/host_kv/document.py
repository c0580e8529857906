"""The page: goodput over host memory, what became of contexts, and what others saw."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from marsbench.text.numbers import UNMEASURED, fixed, percent, seconds
from studies.host_kv import kinds, steady
from studies.host_kv.rows import Row, read
from studies.host_kv.tables import heading, line, name_of

OBSERVED = (
    ("vLLM with Mooncake, 610 Codex traces", "3.8 x throughput, 46 x TTFT", "ttft"),
    ("ATOM #2223, concurrency 96", "TTFT P50 58 to 24 s, P95 unchanged", "ttft"),
    ("ATOM #2184", "pays only above about 48 sessions at once; hit rate 83 to 96 %", "hits"),
    ("vLLM #43946, LMCache #4499", "eager stores churn once the working set exceeds it", "churn"),
)
"""Public observations: who, what they saw, and which of our figures stands beside it."""

NEAR = 0.05
LONG = "recorded"
"""The workload whose pauses are those of people; the others' systems had such."""
LEVEL = (
    "Level: within 5 points of goodput(3) and 5 % of mean latency of the best. Without host memory "
    "(0) InferCept has one of its own, as in its paper.\n"
)


def document(folders: Sequence[Path], figure: str) -> tuple[list[Row], str, str]:
    """The rows of runs of the size that most have, the page, and all rows as CSV.

    Raises UsageError for a folder without runs.
    """
    rows = [row for folder in folders for row in read(folder)]
    names = " and ".join(f"`{folder.name}`" for folder in folders)
    num_sessions = min(row.sessions for row in rows)
    main = [row for row in rows if row.sessions == num_sessions]
    parts = [
        "# KV in host memory beside each scheduler\n",
        f"{len(rows)} simulated runs of {names}; engine: host memory / working set, eager "
        f"LRU unless it says otherwise. {num_sessions} sessions a run, unless it says more. Every "
        "figure is of one traffic a place.\n",
        f"![goodput over host memory]({figure})\n",
        _moot(main),
        *kinds.section(main),
        *steady.section(rows),
        *(_place(place, main) for place in dict.fromkeys(row.place for row in main)),
        _observations(main),
    ]
    return main, "\n".join(parts), _csv(rows)


def _moot(rows: Sequence[Row]) -> str:
    """At each place and size who serves most sessions in time, beside fcfs."""
    head = ("place", "host memory / working set", "best goodput", "fcfs", "mean s", "fcfs's")
    lines = ["## Where the scheduler is moot\n", LEVEL, *heading(head)]
    sized = [row for row in rows if row.ratio is not None]
    places = sorted({(row.place, row.ratio) for row in sized}, key=_by_place)
    for place, ratio in places:
        own = [row for row in sized if (row.place, row.ratio) == (place, ratio)]
        plain = next((row for row in own if row.backend == "fcfs"), None)
        if plain is not None:
            lines.append(line(_beside(name_of(place), ratio, plain, own)))
    return "\n".join([*lines, ""])


def _by_place(place: tuple[tuple[str, float | None], float | None]) -> tuple[str, float, float]:
    (workload, load), ratio = place
    return workload, load or 0.0, ratio or 0.0


def _beside(name: str, ratio: float | None, plain: Row, own: Sequence[Row]) -> tuple[str, ...]:
    best = max(own, key=lambda row: (row.goodput or 0.0, -(row.latency_s or 0.0)))
    level = _is_level(plain, best)
    who = "level: " + ", ".join(row.backend for row in own if _is_level(row, best))
    return (
        name,
        f"{ratio:g}",
        f"{percent(best.goodput, 0, ' %')} ({who if level else best.backend})",
        percent(plain.goodput, 0, " %"),
        seconds(best.latency_s),
        seconds(plain.latency_s),
    )


def _is_level(row: Row, best: Row) -> bool:
    near = (best.goodput or 0.0) - (row.goodput or 0.0) <= NEAR
    return near and (row.latency_s or 0.0) <= (1 + NEAR) * (best.latency_s or 0.0)


def _place(place: tuple[str, float | None], rows: Sequence[Row]) -> str:
    head = ("engine", "backend", "goodput", "mean s", "TTFT P50 s", "TTFT P99 s", "on GPU")
    more = ("from host", "load wait s", "link out", "dropped")
    own = sorted((row for row in rows if row.place == place), key=_by_engine)
    lines = [f"## {name_of(place)}\n", *heading((*head, *more))]
    return "\n".join([*lines, *(line(_cells(row)) for row in own), ""])


def _by_engine(row: Row) -> tuple[float, str]:
    """Sizes of plain eager LRU, then the others by name."""
    return (math.inf if row.ratio is None else row.ratio), row.engine


def _cells(row: Row) -> tuple[str, ...]:
    shares = (row.on_gpu, row.from_host)
    return (
        row.engine,
        row.backend,
        percent(row.goodput, 0, " %"),
        *(seconds(value) for value in (row.latency_s, row.ttft_p50_s, row.ttft_p99_s)),
        *(percent(share, 1, " %") for share in shares),
        seconds(row.load_wait_s),
        percent(row.link_out, 1, " %"),
        fixed(row.dropped),
    )


def _observations(rows: Sequence[Row]) -> str:
    """Beside each what it is here for fcfs at the heaviest place, from no host memory to most."""
    own = _heaviest([row for row in rows if row.backend == "fcfs" and row.ratio is not None])
    where = f"here, fcfs, {name_of(own[0].place)}" if own else "here"
    lines = ["## Beside what others saw\n", *heading(("who", "what they saw", where))]
    lines += [line((who, what, _ours(kind, own))) for who, what, kind in OBSERVED]
    return "\n".join([*lines, ""])


def _heaviest(rows: Sequence[Row]) -> list[Row]:
    """Of one workload at its heaviest load, by size."""
    if not rows:
        return []
    place = max((row.load or 0.0, row.workload == LONG, row.workload) for row in rows)
    own = [row for row in rows if (row.load or 0.0, row.workload) == (place[0], place[2])]
    return sorted(own, key=lambda row: row.ratio or 0.0)


def _ours(kind: str, own: Sequence[Row]) -> str:
    say: Callable[[Row], str] = SAYS[kind]
    return "; ".join(say(row) for row in own) or UNMEASURED


SAYS: dict[str, Callable[[Row], str]] = {
    "ttft": lambda row: f"{row.engine}: TTFT P50 {seconds(row.ttft_p50_s)} s",
    "hits": lambda row: (
        f"{row.engine}: {percent((row.on_gpu or 0.0) + (row.from_host or 0.0), 0, ' %')} found"
    ),
    "churn": lambda row: f"{row.engine}: {fixed(row.dropped)} dropped",
}


def _csv(rows: Sequence[Row]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(asdict(rows[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return out.getvalue()
