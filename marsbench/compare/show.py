"""A comparison on a screen, and as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from marsbench.compare.caps import by_backend, in_words
from marsbench.compare.documents import record
from marsbench.compare.figures import figure_of, goodput_name
from marsbench.compare.points import Place
from marsbench.compare.values import Comparison, Difference, Estimate, Fairness

UNMEASURED = "–"
DEFAULT = (
    "latency_mean_s",
    "latency_p95_s",
    "ttft_ready_first_p99_s",
    "ttft_ready_continuation_p99_s",
    "recomputed_tokens",
)
"""Shown unless metrics are named, after goodput at every α."""
PERCENT = ("goodput_", "hit_rate", "host_hit_rate", "kv_")
COLOURS = {"better": "green", "worse": "red", "unclear": "default"}


def as_json(found: Comparison) -> str:
    """One JSON object on one line."""
    return json.dumps(record(found), ensure_ascii=False, allow_nan=False) + "\n"


def render(found: Comparison, metrics: Sequence[str], console: Console) -> None:
    """Every place: the figures against the baseline, who pays; then what holds for all."""
    names = list(metrics) or [*map(goodput_name, found.alphas[:2]), *DEFAULT]
    for place in found.places:
        console.print(f"[bold]{escape(found.matrix.title(place))}[/bold]", highlight=False)
        for name in names:
            table = _figure(found, place, name)
            if table is not None:
                console.print(table)
        console.print(_sizes(found, place))
        console.print(_evenness(found, place))
    for line in _lines(found):
        console.print(line, highlight=False)


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=not number)
    return table


def _figure(found: Comparison, place: Place, name: str) -> Table | None:
    """One figure of every backend there, best first, beside the baseline."""
    rows = [e for e in found.estimates if (e.place, e.figure) == (place, name)]
    if all(row.mean is None for row in rows):
        return None
    against = {d.backend: d for d in found.differences if (d.place, d.figure) == (place, name)}
    unit = figure_of(name).unit
    label = figure_of(name).label + (f", {unit}" if unit else "")
    table = _table(label, "mean", "interval", f"÷ {found.baseline}", "interval", "difference")
    for row in sorted(rows, key=lambda r: (r.rank or 0, r.backend)):
        table.add_row(*_cells(row, against.get(row.backend)))
    return table


def _cells(row: Estimate, against: Difference | None) -> tuple[str, ...]:
    own = (escape(row.backend), _value(row.figure, row.mean), _bounds(row.figure, row))
    if against is None:
        return (*own, "", "", "")
    ratio, apart = against.ratio, against.difference
    text = _signed(row.figure, apart.value)
    colour = COLOURS[against.standing]
    return (
        *own,
        UNMEASURED if ratio.value is None else f"{ratio.value:.2f}×",
        UNMEASURED if ratio.low is None else f"{ratio.low:.2f}–{ratio.high:.2f}",
        text if against.standing == "unclear" else f"[{colour}]{text} {against.standing}[/]",
    )


def _bounds(figure: str, row: Estimate) -> str:
    if row.low is None or row.high is None:
        return UNMEASURED
    return f"{_value(figure, row.low)}–{_value(figure, row.high)}"


def _value(figure: str, value: float | None) -> str:
    if value is None:
        return UNMEASURED
    if figure.startswith(PERCENT) and not figure.startswith("goodput_rate"):
        return f"{value:.1%}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _signed(figure: str, value: float | None) -> str:
    """A difference; of shares it is in percentage points."""
    text = _value(figure, value).replace("%", " pts")
    return f"+{text}" if value is not None and value > 0 else text


def _sizes(found: Comparison, place: Place) -> Table:
    """Mean slowdown by size, the worst, and how many starved."""
    sizes = [s for s in ("small", "middle", "long", "over 50k") if _has(found, place, s)]
    table = _table("slowdown", *sizes, "worst", "starved")
    for row in found.fairness:
        if row.place == place:
            means = [_mean(found, row, size) for size in sizes]
            told = [
                UNMEASURED if number is None else f"{number:.2f}"
                for number in (*means, row.worst_slowdown)
            ]
            table.add_row(escape(row.backend), *told, f"{row.starved}/{row.sessions}")
    return table


def _evenness(found: Comparison, place: Place) -> Table:
    """Jain's index, the area under goodput against α, and what is left to the oracle."""
    table = _table("Jain's index", "sessions", "tenants", "sizes", "goodput area", "÷ oracle")
    areas = {(a.place, a.backend): a.area.value for a in found.areas}
    oracle = {(o.place, o.backend): o.share.value for o in found.of_oracle}
    for row in found.fairness:
        if row.place == place:
            key = (place, row.backend)
            indices = (row.jain_sessions, row.jain_tenants, row.jain_sizes, areas[key])
            told = [UNMEASURED if number is None else f"{number:.3f}" for number in indices]
            share = oracle.get(key)
            table.add_row(
                escape(row.backend), *told, UNMEASURED if share is None else f"{share:.1%}"
            )
    return table


def _has(found: Comparison, place: Place, size: str) -> bool:
    return any(s.place == place and s.size == size and s.sessions for s in found.sizes)


def _mean(found: Comparison, row: Fairness, size: str) -> float | None:
    key = (row.place, row.backend, size)
    return next(s.slowdown_mean for s in found.sizes if (s.place, s.backend, s.size) == key)


def _lines(found: Comparison) -> Iterator[str]:
    for ranking in found.rankings:
        order = " > ".join(ranking.order)
        yield f"ranking on {escape(found.matrix.title(ranking.place))}: {escape(order)}"
    for dimension, rows in found.held.items():
        for row in rows:
            other = getattr(row.other, dimension)
            where = f"{row.base.title}, {dimension} {other}"
            yield f"ranking with {escape(where)}: {row.verdict}"
    for caps in by_backend(found.caps).values():
        yield f"{escape(caps[0].backend)}: {in_words(caps)}"
    for capacity in found.capacities:
        yield (
            f"capacity of {escape(capacity.backend)} on {escape(capacity.workload)} "
            f"({capacity.share:.0%} of sessions within {capacity.alpha:g}× alone): "
            f"{capacity.answer}"
        )
    for caution in found.cautions:
        yield f"[yellow]caution[/yellow] {escape(caution)}"
