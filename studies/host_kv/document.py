"""The page: goodput over host memory, what became of contexts, and what others saw."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from marsbench.text.numbers import UNMEASURED, fixed, percent, seconds
from studies.host_kv.rows import Row, read

OBSERVED = (
    ("vLLM with Mooncake, 610 Codex traces", "3.8 x throughput, 46 x TTFT", "ttft"),
    ("ATOM #2223, concurrency 96", "TTFT P50 58 to 24 s, P95 unchanged", "ttft"),
    ("ATOM #2184", "pays only above about 48 sessions at once; hit rate 83 to 96 %", "hits"),
    ("vLLM #43946, LMCache #4499", "eager stores churn once the working set exceeds it", "churn"),
)
"""Public observations: who, what they saw, and which of our figures stands beside it."""


def document(folder: Path, figure: str) -> tuple[list[Row], str, str]:
    """The rows, the page and the rows as CSV. Raises UsageError for a folder without runs."""
    rows = read(folder)
    parts = [
        "# KV in host memory beside each scheduler\n",
        f"{len(rows)} simulated runs of `{folder.name}`; engine: host memory / working set, eager "
        "LRU unless it says otherwise. Every figure is of one traffic a place.\n",
        f"![goodput over host memory]({figure})\n",
        *(_place(place, rows) for place in dict.fromkeys(row.place for row in rows)),
        _observations(rows),
    ]
    return rows, "\n".join(parts), _csv(rows)


def _place(place: tuple[str, float | None], rows: Sequence[Row]) -> str:
    head = ("engine", "backend", "goodput", "mean s", "TTFT P50 s", "TTFT P99 s", "on GPU")
    more = ("from host", "load wait s", "link out", "dropped")
    own = [row for row in rows if row.place == place]
    load = "" if place[1] is None else f" at load {place[1]:g}"
    lines = [f"## {place[0]}{load}\n", _line((*head, *more)), "|" + " --- |" * 11]
    return "\n".join([*lines, *(_line(_cells(row)) for row in own), ""])


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


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _observations(rows: Sequence[Row]) -> str:
    """Beside each what it is here: fcfs, the smallest and the largest host memory."""
    sized = [row for row in rows if row.backend == "fcfs" and row.ratio is not None]
    lines = ["## Beside what others saw\n", _line(("who", "what they saw", "here, fcfs"))]
    lines.append("|" + " --- |" * 3)
    lines += [_line((who, what, _ours(kind, sized))) for who, what, kind in OBSERVED]
    return "\n".join([*lines, ""])


def _ours(kind: str, rows: Sequence[Row]) -> str:
    ordered = sorted(rows, key=lambda row: (row.load or 0.0, row.ratio or 0.0, row.workload))
    if len(ordered) < 2:
        return UNMEASURED
    say: Callable[[Row], str] = SAYS[kind]
    heaviest = [row for row in ordered if row.load == ordered[-1].load]
    return "; ".join(say(row) for row in (heaviest[0], heaviest[-1]))


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
