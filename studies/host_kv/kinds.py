"""Other ways to store and to evict, each beside eager LRU of the same size."""

from __future__ import annotations

from collections.abc import Sequence

from marsbench.text.numbers import fixed, percent, seconds
from studies.host_kv.rows import Row
from studies.host_kv.tables import heading, line, name_of

HEAD = ("goodput", "mean s", "TTFT P50 s", "from host", "link out", "dropped")


def section(rows: Sequence[Row]) -> list[str]:
    """The part of the page; none where all rows are eager LRU."""
    plain = {(row.place, row.engine, row.backend): row for row in rows}
    lines = []
    for row in sorted(rows, key=_order):
        size, _, kind = row.engine.partition(" ")
        beside = plain.get((row.place, size, row.backend))
        if kind and beside is not None:
            lines.append(line((name_of(row.place), row.engine, row.backend, *_both(row, beside))))
    if not lines:
        return []
    about = "Its figure, and after the arrow eager LRU's at the same size.\n"
    title = "## Beside eager LRU: ARC, a threshold, lazy\n"
    return ["\n".join([title, about, *heading(("place", "engine", "backend", *HEAD)), *lines, ""])]


def _order(row: Row) -> tuple[str, str, float, str]:
    size, _, kind = row.engine.partition(" ")
    return kind, name_of(row.place), float(size), row.backend


def _both(row: Row, beside: Row) -> list[str]:
    pairs = zip(_figures(row), _figures(beside), strict=True)
    return [own if own == other else f"{own} → {other}" for own, other in pairs]


def _figures(row: Row) -> tuple[str, ...]:
    return (
        percent(row.goodput, 0, " %"),
        seconds(row.latency_s),
        seconds(row.ttft_p50_s),
        percent(row.from_host, 1, " %"),
        percent(row.link_out, 1, " %"),
        fixed(row.dropped),
    )
