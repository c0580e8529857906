"""`marsbench gate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marsbench.errors import MarsbenchError

if TYPE_CHECKING:
    from marsbench.gate.values import GateReport, Rules

Folder = Annotated[Path, typer.Argument(help="A run, a sweep, or a folder of runs.")]


def gate(
    baseline: Folder,
    candidate: Folder,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="goodput, latency, latency_p95_s, …; repeatable"),
    ] = None,
    alpha: Annotated[float, typer.Option(metavar="A", help="Goodput's α (3)")] = 3.0,
    margin: Annotated[
        str, typer.Option(metavar="M", help="How much worse still passes: 5% or 0.02")
    ] = "5%",
    confidence: Annotated[
        float, typer.Option(metavar="C", help="Of a verdict, one-sided (0.95)")
    ] = 0.95,
    rules: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Several metrics and margins (TOML)")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", metavar=" ", help="Nothing at all may differ (simulator)")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", metavar=" ", help="Print one JSON object")
    ] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a summary")] = None,
) -> None:
    """Pass (0), fail (1) or inconclusive (2): is CANDIDATE as good as BASELINE? 3 is an error."""
    from marsbench.gate.documents import as_junit, as_markdown, junit_of_error
    from marsbench.gate.values import GateError

    try:
        report = _report(baseline, candidate, metric, alpha, margin, confidence, rules, exact)
    except MarsbenchError as error:
        _write(junit, junit_of_error(str(error)))
        raise GateError(str(error)) from error
    _write(junit, as_junit(report))
    _write(markdown, as_markdown(report))
    _show(report, as_json)
    raise typer.Exit(report.exit_code)


def _report(
    baseline: Path,
    candidate: Path,
    metric: list[str] | None,
    alpha: float,
    margin: str,
    confidence: float,
    file: Path | None,
    exact: bool,
) -> GateReport:
    from marsbench.gate import gate as judge
    from marsbench.gate import gate_exact
    from marsbench.gate.values import GateError

    if exact:
        if metric or file:
            raise GateError("--exact compares everything; leave out --metric and --rules.")
        return gate_exact(baseline, candidate)
    return judge(baseline, candidate, _rules(metric, alpha, margin, confidence, file))


def _rules(
    metric: list[str] | None, alpha: float, margin: str, confidence: float, file: Path | None
) -> Rules:
    from marsbench.gate.rules import checked, read_rules, rule_of
    from marsbench.gate.values import GateError, Rules

    if file is not None:
        if metric:
            raise GateError("Give --metric or --rules, not both: a rules file names its metrics.")
        return read_rules(file)
    names = metric or ["goodput"]
    return checked(Rules(tuple(rule_of(name, margin, alpha) for name in names), confidence))


def _write(path: Path | None, text: str) -> None:
    from marsbench.gate.values import GateError

    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GateError(f"Cannot write {path}: {error.strerror}; give another path.") from error


def _show(report: GateReport, as_json: bool) -> None:
    from marsbench.gate.documents import as_json as one_line

    if as_json:
        typer.echo(one_line(report), nl=False)
        return
    from rich.console import Console

    from marsbench.gate.show import render

    render(report, Console())
