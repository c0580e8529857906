"""`marsbench advise`: from recordings of one's own agents to a scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marsbench.advise.options import AdviseOptions
from marsbench.cli.import_options import ImportOptions
from marsbench.cli.options import verb
from marsbench.option import AsJson

if TYPE_CHECKING:
    from marsbench.advise.traffic import Traffic
    from marsbench.core.workload.files import Workload

OURS = b'{"marsbench_workload"'
"""How a file of sessions begins."""


@verb
def advise(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATHS…", help="Recordings: files, folders, patterns, a workload."),
    ],
    options: AdviseOptions,
    as_json: AsJson = False,
) -> None:
    """Say which scheduler suits recorded agents, what it is worth, and how many GPUs.

    It plays N users like those recorded, at their load and at twice that: minutes on two cores.
    No text or name is kept. With the same -o it goes on where it stopped.
    """
    from marsbench.advise.advise import advised, world_asked
    from marsbench.advise.documents import as_json as one_line
    from marsbench.advise.show import render
    from marsbench.advise.words import plan
    from marsbench.text.console import console

    world = world_asked(options)

    def planned(traffic: Traffic) -> None:
        typer.echo(plan(traffic, world.backends, options.seeds), err=True)

    advice = advised(_recording(paths, options), world, options, planned)
    if as_json:
        typer.echo(one_line(advice), nl=False)
    else:
        render(advice, console())
    typer.echo(f"advice folder: {advice.path}", err=True)


def _recording(paths: Sequence[Path], options: AdviseOptions) -> Workload:
    """The sessions of the recordings, without names; what was amiss is said on stderr."""
    from marsbench.cli.importing import imported_workload, recognised_files
    from marsbench.core.workload.files import read_workload

    if len(paths) == 1 and _is_ours(paths[0]):
        return read_workload(paths[0])
    stated = ImportOptions(
        output=Path("recording.jsonl"), tokenizer=options.tokenizer, tool_time=options.tool_time
    )
    workload, _ = imported_workload(recognised_files(paths, stated), stated)
    return workload


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(OURS)) == OURS
