"""`marsbench explore`: runs as a page to look into."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marsbench.cli.options import verb
from marsbench.option import Option


@verb
def explore(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN [RUN]", help="Folders of runs.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The page (explore.html)")
    ] = Path("explore.html"),
    hardware: Annotated[
        Path | None, Option("FILE", "The profile that it ran on, if it is your own")
    ] = None,
) -> None:
    """Write a page on which a run can be looked into: every session, its memory, its story.

    Two runs stand side by side on one clock. The page is one file: no server, no network.
    """
    from marsbench.cli.export import save
    from marsbench.errors import UsageError
    from marsbench.explore.page import explored

    if output.suffix != ".html":
        raise UsageError(f"{output} is no name of a page; end it in .html.")
    save(explored(runs, hardware), output)
    typer.echo(f"{output}: open it in a browser")
