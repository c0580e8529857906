"""`marsbench report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUNS…", help="Folders of runs, sweeps.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help=".pdf, .html, .md or .tex; a figure: .svg, .pdf, .png.",
        ),
    ],
    figure: Annotated[
        str | None, typer.Option(metavar="NAME", help="This figure alone: latency, …")
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="The report's title.")] = None,
    across: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIM", help="May differ: workload, hardware, engine, replicas, router."
        ),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="NAME", help="What ratios are to (as in compare).")
    ] = None,
    verdicts: Annotated[
        str | None,
        typer.Option(metavar="PAPER", help="Judge this paper's numbers as well: mars."),
    ] = None,
    figures: Annotated[
        bool, typer.Option("--figures/--no-figures", help="Beside Markdown, LaTeX, in FILE_files/.")
    ] = True,
) -> None:
    """Write a report of runs: what to choose, figures, tables, cautions, and the commands."""
    from marsbench.report.build import build, build_figure
    from marsbench.report.material import ReportOptions

    options = ReportOptions(tuple(across or ()), baseline, verdicts)

    if figure is not None:
        written = build_figure(runs, output, figure, options)
    else:
        written = build(runs, output, title=title, options=options, figures=figures)
    for path in written:
        typer.echo(path)
