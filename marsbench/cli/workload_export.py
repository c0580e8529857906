"""`marsbench workload export`: a workload for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def export(
    file: Annotated[Path, typer.Argument(help="A workload file.")],
    to: Annotated[
        Literal["mooncake", "hf"],
        typer.Option(help="mooncake: agentic Mooncake JSONL; hf: a datasets folder."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The file or folder to write.")],
) -> None:
    """Write a workload in another tool's format; import of it gives the same workload.

    What the format cannot hold is kept in fields of ours, which others pass over.
    """
    from marsbench.core.workload.files import read_workload, write_lines

    workload = read_workload(file)
    if to == "hf":
        from marsbench.formats.hf import write_hf

        write_hf(workload, output)
    else:
        from marsbench.formats.mooncake_export import mooncake_lines

        write_lines(mooncake_lines(workload), output)
    typer.echo(f"{output}: {len(workload.sessions):,} sessions of {file} as {to}")
