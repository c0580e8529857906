"""`marsbench why`: where each second of a slowdown went."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marsbench.cli.options import verb
from marsbench.option import AsJson, Option


@verb
def why(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    session: Annotated[
        str | None, typer.Argument(help="Tell this one's story; else the mean over all.")
    ] = None,
    beside: Annotated[
        list[Path] | None, Option("RUN", "Hold another run beside it; repeatable")
    ] = None,
    hardware: Annotated[
        Path | None, Option("FILE", "The profile that it ran on, if it is your own")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say where each second of a session's slowdown went, and who was in its way.

    The causes add up to completion less time alone.
    """
    from marsbench.judge.why.explain import ExplainedRun
    from marsbench.show.why import show_runs, show_session, why_json
    from marsbench.text.console import console

    runs = [ExplainedRun.read(path, hardware) for path in (run, *(beside or ()))]
    if as_json:
        typer.echo(why_json(runs, session), nl=False)
    elif session is None:
        show_runs(runs, console())
    else:
        show_session(runs, session, console())
