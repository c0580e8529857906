"""The verdict on a screen."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from marsbench.judge.gate.documents import change, name_of, number
from marsbench.judge.gate.values import GateReport

COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


def render(report: GateReport, console: Console) -> None:
    """A table of the checks, a sentence for each that did not pass, the verdict last."""
    if not report.exact:
        console.print(_table(report))
    for check in report.checks:
        if check.verdict != "pass":
            console.print(f"{escape(check.where)}: {escape(check.why)}", highlight=False)
    for caution in report.cautions:
        console.print(f"[yellow]caution[/yellow] {escape(caution)}", highlight=False)
    passed = sum(check.verdict == "pass" for check in report.checks)
    colour = COLOURS[report.verdict]
    console.print(
        f"[{colour}]{report.verdict}[/{colour}]: {passed} of {len(report.checks)} checks pass",
        highlight=False,
    )


def _table(report: GateReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("metric")
    table.add_column("where")
    for heading in ("baseline", "candidate", "typical change", "margin"):
        table.add_column(heading, justify="right", no_wrap=heading != "typical change")
    table.add_column("verdict", no_wrap=True)
    for check in report.checks:
        colour = COLOURS[check.verdict]
        table.add_row(
            escape(name_of(check.rule)),
            escape(check.place),
            number(check.baseline),
            number(check.candidate),
            change(check),
            str(check.rule.margin),
            f"[{colour}]{check.verdict}[/{colour}]",
        )
    return table
