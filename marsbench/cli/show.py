"""`marsbench show`: a run's table and charts, or how far a sweep is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marsbench.cli.options import verb
from marsbench.option import AsJson, Option


@verb
def show(
    path: Annotated[
        Path, typer.Argument(metavar="RUN|SWEEP", help="The folder of a run or sweep.")
    ],
    as_json: AsJson = False,
    follow: Annotated[
        bool, Option(None, "Follow a sweep until it ends.", names=("--watch",))
    ] = False,
) -> None:
    """Print a run again, even one that was cut short, with small charts; or a sweep.

    A sweep is shown as far as it is; --watch follows it, from any terminal.
    """
    from marsbench.errors import UsageError
    from marsbench.runs import RunFolder
    from marsbench.show.charts import show_charts
    from marsbench.show.found import found_in
    from marsbench.show.run import render_summary, show_run
    from marsbench.show.sweep import show_sweep, watch
    from marsbench.text.console import console

    here = console()
    is_sweep = (path / "sweep.json").is_file()
    if follow:
        if as_json:
            raise UsageError("--watch and --json do not go together; leave one out.")
        watch(path, here)
    elif is_sweep and not as_json:
        show_sweep(path, here)
    elif is_sweep:
        raise UsageError(f"{path} is a sweep; --json is of a run, one of the folders in it.")
    elif as_json:
        show_run(path, as_json)
    else:
        found = found_in(RunFolder.open(path))
        render_summary(found.summary, here)
        show_charts(found, here)
