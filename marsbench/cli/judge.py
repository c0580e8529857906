"""`marsbench compare`, `marsbench gate` and `marsbench capacity`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marsbench.cli.options import verb
from marsbench.judge.gate.options import GateOptions, PlayOptions
from marsbench.judge.sweep.options import CapacityOptions
from marsbench.option import AsJson, Option

Folder = Annotated[
    Path | None, typer.Argument(help="A run, a sweep, or a folder of runs.", show_default=False)
]


@verb
def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of runs, sweeps or capacity searches.")
    ],
    baseline: Annotated[str | None, Option("NAME", "What differences are against (fcfs)")] = None,
    alpha: Annotated[list[float] | None, Option("A", "Goodput's α; repeatable (as run)")] = None,
    metric: Annotated[list[str] | None, Option("NAME", "Show these figures; repeatable")] = None,
    across: Annotated[
        list[str] | None,
        Option("WHAT", "May differ: workload, hardware, engine, replicas, router"),
    ] = None,
    confidence: Annotated[float, Option("C", "Of the intervals, two-sided (0.95)")] = 0.95,
    why: Annotated[
        bool | None,
        Option(" ", "Where the seconds went (if 40 runs or fewer)", names=("--why/--no-why",)),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold runs against each other, paired by seed and session, with intervals."""
    from marsbench import api
    from marsbench.judge.compare import Figure
    from marsbench.judge.compare.documents import as_json as one_line
    from marsbench.judge.compare.show import render
    from marsbench.text.console import console

    figures = [Figure.parse(name) for name in metric or ()]
    found = api.compare(
        runs, baseline=baseline, alpha=alpha, across=across or (), confidence=confidence, why=why
    )
    if as_json:
        typer.echo(one_line(found), nl=False)
    else:
        render(found, figures, console())


@verb
def gate(
    options: GateOptions,
    played: PlayOptions,
    baseline: Folder = None,
    candidate: Folder = None,
    as_json: AsJson = False,
    junit: Annotated[Path | None, Option("FILE", "Write JUnit XML")] = None,
    markdown: Annotated[Path | None, Option("FILE", "Write a summary")] = None,
) -> None:
    """Pass (0), fail (1) or inconclusive (2): is CANDIDATE as good as BASELINE? 3 is an error."""
    from marsbench.judge.gate.command import Sides, decide, no_verdict_by_accident, show

    with no_verdict_by_accident():
        report = decide(Sides(baseline, candidate, played), options, junit, markdown)
        show(report, as_json)
    raise typer.Exit(report.exit_code)


@verb
def capacity(options: CapacityOptions, as_json: AsJson = False) -> None:
    """The highest rate, or the fewest GPUs, at which a share of the sessions stays within α."""
    from marsbench.judge.sweep.answer import told
    from marsbench.judge.sweep.capacity import capacity as searched
    from marsbench.judge.sweep.search import search_of
    from marsbench.trees.asked import import_asked

    import_asked(options.vllm)
    output = None if options.output is None else Path(options.output)
    path, answer = searched(search_of(options), output)
    typer.echo(told(answer, as_json))
    typer.echo(f"search folder: {path}", err=True)
