"""`marsbench sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SOME_FAILED = 3
SHOWN = 20


def sweep(
    file: Annotated[
        str, typer.Argument(metavar="SWEEP", help="A sweep file (TOML), or the name of one.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Its folder (results/NAME)."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes (one a core).")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Ray cluster: HOST:PORT, auto, or local."),
    ] = None,
    vllm: Annotated[
        str | None,
        typer.Option(metavar="VLLM", help="A version, PATH or PATH@REV (installed)."),
    ] = None,
) -> None:
    """Play every combination in a file; taken up where it stopped, whatever stopped it."""
    from marsbench import api

    report = api.sweep(file, output=output, jobs=jobs, ray=ray, vllm=vllm)
    for name, why in report.failures[:SHOWN]:
        typer.echo(f"failed: {name}: {why}", err=True)
    if len(report.failures) > SHOWN:
        typer.echo(f"failed: {len(report.failures) - SHOWN} more", err=True)
    typer.echo(
        f"{report.path}: {report.cells} cells, {report.played} played now, "
        f"{len(report.failures)} failed"
    )
    if report.failures:
        raise typer.Exit(SOME_FAILED)
