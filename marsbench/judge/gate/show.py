"""The verdict on a screen."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from marsbench.judge.gate.documents import change, name_of, number
from marsbench.judge.gate.values import GateCheck, GateReport
from marsbench.text.cautions import print_caution
from marsbench.text.console import drawn
from marsbench.text.tables import Cell, Styled, Table

COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


def render(report: GateReport, console: Console) -> None:
    """A table of the checks, a sentence for each that did not pass, the verdict last."""
    if not report.exact:
        console.print(drawn(_table(report)))
    for check in report.checks:
        if check.verdict != "pass":
            console.print(f"{escape(check.where)}: {escape(check.why)}", highlight=False)
    for caution in report.cautions:
        print_caution(console, caution)
    for note in report.notes:
        console.print(f"first difference: {escape(note)}", highlight=False)
    passed = sum(check.verdict == "pass" for check in report.checks)
    colour = COLOURS[report.verdict]
    console.print(
        f"[{colour}]{report.verdict}[/{colour}]: {passed} of {len(report.checks)} checks pass",
        highlight=False,
    )


def _table(report: GateReport) -> Table:
    head = ("metric", "where", "baseline", "candidate", "typical change", "margin", "verdict")
    return Table(head, [_cells(check) for check in report.checks], "llRRrRL")


def _cells(check: GateCheck) -> tuple[Cell, ...]:
    return (
        name_of(check.rule),
        check.place,
        number(check.baseline),
        number(check.candidate),
        change(check),
        str(check.rule.margin),
        Styled(check.verdict, COLOURS[check.verdict]),
    )
