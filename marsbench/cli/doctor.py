"""`marsbench doctor`: is everything here that a run needs?"""

from __future__ import annotations

import typer

from marsbench.cli.options import verb
from marsbench.option import AsJson


@verb
def doctor(as_json: AsJson = False) -> None:
    """Say what is installed, what is missing, and what to type. 1: `run` lacks something."""
    from marsbench.show.doctor import checks_json, examine, is_ready, show_checks
    from marsbench.text.console import console

    checks = examine()
    if as_json:
        typer.echo(checks_json(checks), nl=False)
    else:
        show_checks(checks, console())
    if not is_ready(checks):
        raise typer.Exit(1)
