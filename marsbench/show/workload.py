"""A workload's distributions beside its recipe's targets, as a table and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from marsbench.core.session import is_warm
from marsbench.core.workload.files import Workload
from marsbench.core.workload.recipe import Recipe
from marsbench.show.recording import recording_of, recording_rows
from marsbench.show.workload_check import (
    CheckRow,
    Quantiles,
    check,
    cores_asked,
    describe,
    verdict,
)
from marsbench.text.console import drawn
from marsbench.text.numbers import compact
from marsbench.text.tables import Cell, Styled, Table

_SHARES = {0.1: "p10", 0.5: "p50", 0.9: "p90", 0.99: "p99"}


def workload_table(workload: Workload, recipe: Recipe | None, console: Console) -> None:
    """Print every quantity's quantiles, its target under each one that has a target."""
    checks = [] if recipe is None else check(workload, recipe)
    console.print(f"[bold]{escape(_title(workload))}[/bold]", highlight=False)
    rows: list[list[str]] = []
    wanted: set[int] = set()
    for row in describe(workload):
        rows.append(_cells(row))
        targets = [c for c in checks if c.quantity == row.quantity]
        if targets:
            wanted.add(len(rows))
            rows.append(_target_cells(targets))
    head = ("quantity", "n", "mean", "p10", "p50", "p90", "p99", "max")
    console.print(drawn(Table(head, rows, "LR", faint=wanted)))
    found = recording_of(workload.meta)
    if found is not None:
        console.print(drawn(Table(("recording", ""), recording_rows(found), "Ll")))
    if recipe is not None:
        console.print(escape(f"{workload.name} {verdict(checks, recipe.name)}"), highlight=False)


def check_table(rows: Sequence[CheckRow], console: Console) -> None:
    """Print every target beside the measured quantile and its confidence interval."""
    head = ("target", "wanted", "within", "measured", "99.9% interval", "n", "met")
    console.print(drawn(Table(head, [_check_cells(row) for row in rows], "LR")))


def _check_cells(row: CheckRow) -> tuple[Cell, ...]:
    interval = f"{compact(row.low)} to {compact(row.high)}" if row.n else None
    met: Cell = {True: "yes", False: Styled("no", "red"), None: None}[row.ok]
    found = (compact(row.measured), interval, f"{row.n:,}", met)
    return (row.label, compact(row.target), f"±{row.within:.0%}", *found)


def workload_json(workload: Workload, recipe: Recipe | None) -> str:
    """The same for machines: one JSON object on one line."""
    checks = [] if recipe is None else check(workload, recipe)
    record = {
        "workload": workload.name,
        "hash": workload.hash,
        "lanes": workload.lanes,
        "meta": dict(workload.meta),
        "tool_cores_asked": cores_asked(workload),
        "quantities": [dataclasses.asdict(row) for row in describe(workload)],
        "targets": [dataclasses.asdict(row) for row in checks],
    }
    return json.dumps(record, allow_nan=False) + "\n"


def summary_line(workload: Workload) -> str:
    """How much there is in a workload."""
    members = [member for top in workload.sessions for member in top.walk()]
    agents = len(members) - len(workload.sessions)
    cuts = sum(rnd.cut is not None for member in members for rnd in member.rounds)
    warm = sum(is_warm(top.id) for top in workload.sessions)
    parts = [
        f"{len(workload.sessions) - warm:,} sessions",
        f"{warm:,} in flight at the start" if warm else "",
        f"{sum(len(member.rounds) for member in members):,} rounds",
        f"{agents:,} sub-agents" if agents else "",
        f"{cuts:,} cuts" if cuts else "",
        f"hash {workload.hash[:12]}",
    ]
    return ", ".join(part for part in parts if part)


def _title(workload: Workload) -> str:
    knobs = [f"{key} {_said(workload.meta[key])}" for key in _KNOBS if workload.meta.get(key)]
    cores = cores_asked(workload)
    knobs += [] if cores is None else [f"tools ask for {cores:.3g} cores"]
    return f"{workload.name}: {summary_line(workload)}\n{', '.join(knobs)}".rstrip()


_KNOBS = ("arrivals", "rate", "load", "tools", "prefixes", "seed", "context_paging")


def _said(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cells(row: Quantiles) -> list[str]:
    quantiles = (row.mean, row.p10, row.p50, row.p90, row.p99, row.max)
    return [row.quantity, f"{row.n:,}", *(compact(v) for v in quantiles)]


def _target_cells(targets: Sequence[CheckRow]) -> list[str]:
    wanted = {_SHARES[row.share]: _wanted(row) for row in targets}
    quantiles = (wanted.get(name, "") for name in _SHARES.values())
    return [f"  target ±{targets[0].within:.0%}", "", "", *quantiles, ""]


def _wanted(row: CheckRow) -> str:
    mark = {True: "", False: " ✗", None: " ?"}[row.ok]
    return compact(row.target) + mark
