"""A workload's distributions beside its recipe's targets, as a table and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from marsbench.core.workload.files import Workload
from marsbench.core.workload.recipe import Recipe
from marsbench.show.workload_check import (
    UNMEASURED,
    CheckRow,
    Row,
    check,
    describe,
    number,
    verdict,
)

_SHARES = {0.1: "p10", 0.5: "p50", 0.9: "p90"}


def workload_table(workload: Workload, recipe: Recipe | None, console: Console) -> None:
    """Print every quantity's quantiles, its target under each one that has a target."""
    checks = [] if recipe is None else check(workload, recipe)
    console.print(f"[bold]{escape(_title(workload))}[/bold]", highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("quantity", no_wrap=True)
    for heading in ("n", "mean", "p10", "p50", "p90", "p99", "max"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in describe(workload):
        table.add_row(*_cells(row))
        targets = [c for c in checks if c.quantity == row.quantity]
        if targets:
            table.add_row(*_target_cells(targets), style="dim")
    console.print(table)
    if recipe is not None:
        console.print(escape(f"{workload.name} {verdict(checks, recipe.name)}"), highlight=False)


def check_table(rows: Sequence[CheckRow], console: Console) -> None:
    """Print every target beside the measured quantile and its confidence interval."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("target", no_wrap=True)
    for heading in ("wanted", "within", "measured", "99.9% interval", "n", "met"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        interval = f"{number(row.low)} to {number(row.high)}" if row.n else UNMEASURED
        table.add_row(
            row.label, number(row.target), f"±{row.within:.0%}", number(row.measured), interval,
            f"{row.n:,}", {True: "yes", False: "[red]no[/red]", None: UNMEASURED}[row.ok],
        )  # fmt: skip
    console.print(table)


def workload_json(workload: Workload, recipe: Recipe | None) -> str:
    """The same for machines: one JSON object on one line."""
    checks = [] if recipe is None else check(workload, recipe)
    record = {
        "workload": workload.name,
        "hash": workload.hash,
        "lanes": workload.lanes,
        "meta": dict(workload.meta),
        "quantities": [dataclasses.asdict(row) for row in describe(workload)],
        "targets": [dataclasses.asdict(row) for row in checks],
    }
    return json.dumps(record, allow_nan=False) + "\n"


def summary_line(workload: Workload) -> str:
    """How much there is in a workload."""
    members = [member for top in workload.sessions for member in top.walk()]
    agents = len(members) - len(workload.sessions)
    cuts = sum(rnd.cut is not None for member in members for rnd in member.rounds)
    parts = [
        f"{len(workload.sessions):,} sessions",
        f"{sum(len(member.rounds) for member in members):,} rounds",
        f"{agents:,} sub-agents" if agents else "",
        f"{cuts:,} cuts" if cuts else "",
        f"hash {workload.hash[:12]}",
    ]
    return ", ".join(part for part in parts if part)


def _title(workload: Workload) -> str:
    knobs = [f"{key} {_said(workload.meta[key])}" for key in _KNOBS if workload.meta.get(key)]
    return f"{workload.name}: {summary_line(workload)}\n{', '.join(knobs)}".rstrip()


_KNOBS = ("arrivals", "rate", "load", "tools", "prefixes", "seed")


def _said(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cells(row: Row) -> list[str]:
    quantiles = (row.mean, row.p10, row.p50, row.p90, row.p99, row.max)
    return [row.quantity, f"{row.n:,}", *(number(v) for v in quantiles)]


def _target_cells(targets: Sequence[CheckRow]) -> list[str]:
    wanted = {_SHARES[row.share]: _wanted(row) for row in targets}
    quantiles = (wanted.get(name, "") for name in ("p10", "p50", "p90"))
    return [f"  target ±{targets[0].within:.0%}", "", "", *quantiles, "", ""]


def _wanted(row: CheckRow) -> str:
    mark = {True: "", False: " ✗", None: " ?"}[row.ok]
    return number(row.target) + mark
