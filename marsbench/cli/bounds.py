"""`marsbench bounds`: runs beside what no schedule can pass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marsbench.cli.options import verb
from marsbench.option import AsJson, Option


@verb
def bounds(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folders of simulated runs.")],
    workload: Annotated[
        str | None, Option("W", "What was played, if it is no shipped recipe: a file, a recipe")
    ] = None,
    hardware: Annotated[
        Path | None, Option("FILE", "The profile that it ran on, if it is your own")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what runs reached beside what no schedule can pass: a proven bound, and the gap.

    Mean latency at least, good sessions at most, for each run's own workload and hardware.
    """
    from marsbench.bounds.of_run import held
    from marsbench.show.bounds import bounds_json, bounds_table
    from marsbench.text.console import console

    found = [held(run, workload, hardware) for run in runs]
    if as_json:
        typer.echo(bounds_json(found), nl=False)
    else:
        bounds_table(found, console())
