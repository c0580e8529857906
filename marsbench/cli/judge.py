"""`marsbench compare`, `marsbench gate` and `marsbench capacity`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from marsbench.cli import options as opt


def _option(metavar: str, about: str, **limits: Any) -> Any:
    """An option whose default is told in its line of help, not in a column of its own."""
    return typer.Option(metavar=metavar, help=about, show_default=False, **limits)


Folder = Annotated[Path, typer.Argument(help="A run, a sweep, or a folder of runs.")]


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of runs, sweeps or capacity searches.")
    ],
    baseline: Annotated[str | None, _option("NAME", "What differences are against (fcfs)")] = None,
    alpha: Annotated[list[float] | None, _option("A", "Goodput's α; repeatable (as run)")] = None,
    metric: Annotated[list[str] | None, _option("NAME", "Show these figures; repeatable")] = None,
    across: Annotated[
        list[str] | None,
        _option("WHAT", "May differ: workload, hardware, engine"),
    ] = None,
    confidence: Annotated[float, _option("C", "Of the intervals, two-sided (0.95)")] = 0.95,
    as_json: opt.AsJson = False,
) -> None:
    """Hold runs against each other, paired by seed and session, with intervals."""
    from marsbench.judge.compare import Figure
    from marsbench.judge.compare import compare as assembled
    from marsbench.judge.compare.documents import as_json as one_line
    from marsbench.judge.compare.show import render
    from marsbench.text.console import console

    figures = [Figure.parse(name) for name in metric or ()]
    found = assembled(
        runs, baseline=baseline, alphas=alpha, across=across or (), confidence=confidence
    )
    if as_json:
        typer.echo(one_line(found), nl=False)
    else:
        render(found, figures, console())


def gate(
    baseline: Folder,
    candidate: Folder,
    metric: Annotated[
        list[str] | None,
        _option("NAME", "goodput, latency, latency_p95_s, …; repeatable"),
    ] = None,
    alpha: Annotated[float, _option("A", "Goodput's α (3)")] = 3.0,
    margin: Annotated[str, _option("M", "How much worse still passes: 5%, 0.02 (5%)")] = "5%",
    confidence: Annotated[float, _option("C", "Of a verdict, one-sided (0.95)")] = 0.95,
    rules: Annotated[Path | None, _option("FILE", "Several metrics and margins (TOML)")] = None,
    exact: Annotated[
        bool, typer.Option("--exact", metavar=" ", help="Nothing at all may differ (simulator)")
    ] = False,
    as_json: opt.AsJson = False,
    junit: Annotated[Path | None, _option("FILE", "Write JUnit XML")] = None,
    markdown: Annotated[Path | None, _option("FILE", "Write a summary")] = None,
) -> None:
    """Pass (0), fail (1) or inconclusive (2): is CANDIDATE as good as BASELINE? 3 is an error."""
    from marsbench.judge.gate.command import GateOptions, decide, no_verdict_by_accident, show

    options = GateOptions(tuple(metric or ()), alpha, margin, confidence, rules, exact)
    with no_verdict_by_accident():
        report = decide(baseline, candidate, options, junit, markdown)
        show(report, as_json)
    raise typer.Exit(report.exit_code)


def capacity(
    backend: opt.BackendName,
    workload: opt.WorkloadName = "ilr-1",
    alpha: Annotated[float, _option("A", "Times as long as alone (3)")] = 3.0,
    share: Annotated[float, _option("S", "Of the sessions (0.9)")] = 0.9,
    seeds: Annotated[int, _option("N", "Seeds 1 to N (3)", min=1)] = 3,
    tolerance: Annotated[float, _option("T", "Of the rate (0.05)")] = 0.05,
    gpus: Annotated[
        bool, typer.Option("--gpus", metavar=" ", help="How many for --arrivals closed:N agents")
    ] = False,
    sessions: opt.Sessions = None,
    arrivals: opt.Arrivals = None,
    tools: opt.Tools = None,
    prefixes: opt.Prefixes = None,
    set_: opt.Settings = None,
    gpu: opt.Gpu = "h200",
    model: opt.Model = None,
    precision: opt.Precision = None,
    kv_dtype: opt.KvDtype = None,
    hardware: opt.HardwareFile = None,
    engine_profile: opt.EngineProfile = "default",
    block_size: opt.BlockSize = None,
    kv_blocks: opt.KvBlocks = None,
    step_budget: opt.StepBudget = None,
    max_seqs: opt.MaxSeqs = None,
    memory_fraction: opt.MemoryFraction = None,
    tool_cores: opt.ToolCores = 8,
    jobs: Annotated[int, _option("N", "Processes (1: this one, all seeds in turn)", min=1)] = 1,
    output: opt.Output = None,
    as_json: opt.AsJson = False,
) -> None:
    """The highest rate, or the fewest GPUs, at which a share of the sessions stays within α."""
    given = locals()
    from marsbench.judge.sweep.answer import told
    from marsbench.judge.sweep.capacity import capacity as searched
    from marsbench.judge.sweep.search import search_of

    path, answer = searched(search_of(given), output)
    typer.echo(told(answer, as_json))
    typer.echo(f"search folder: {path}", err=True)
