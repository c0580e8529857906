"""`marsbench compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of runs, sweeps or capacity searches.")
    ],
    baseline: Annotated[
        str | None, typer.Option(metavar="NAME", help="What differences are against (fcfs)")
    ] = None,
    alpha: Annotated[
        list[float] | None, typer.Option(metavar="A", help="Goodput's α; repeatable (as run)")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Show these figures; repeatable")
    ] = None,
    across: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT", help="May differ: workload, hardware, engine"),
    ] = None,
    confidence: Annotated[
        float, typer.Option(metavar="C", help="Of the intervals, two-sided (0.95)")
    ] = 0.95,
    as_json: Annotated[
        bool, typer.Option("--json", metavar=" ", help="Print one JSON object")
    ] = False,
) -> None:
    """Hold runs against each other, paired by seed and session, with intervals."""
    from rich.console import Console

    from marsbench.compare import compare as assembled
    from marsbench.compare import figure_of
    from marsbench.compare.show import as_json as one_line
    from marsbench.compare.show import render

    names = [figure_of(name).name for name in metric or ()]
    found = assembled(
        runs, baseline=baseline, alphas=alpha, across=across or (), confidence=confidence
    )
    if as_json:
        typer.echo(one_line(found), nl=False)
    else:
        render(found, names, Console())
