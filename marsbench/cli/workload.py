"""`marsbench workload`: export, make, show and check workloads; imports are beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from marsbench.cli.completion import workload as complete
from marsbench.cli.import_options import ArrivalKind, Load, Out, Rate, Seed, mean_gpu_s, progress
from marsbench.cli.imports import app as import_app
from marsbench.cli.options import verb
from marsbench.option import Option

# What a command needs is imported when it is called, so that --help answers at once.
if TYPE_CHECKING:
    from marsbench.core.workload.files import Workload
    from marsbench.core.workload.recipe import Recipe

app = typer.Typer(no_args_is_help=True, help="Make, show, check, import and export workloads.")
app.add_typer(import_app, name="import")

_SAMPLE = 300


@app.command()
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
    from marsbench.formats.hf import write_hf
    from marsbench.formats.mooncake_export import mooncake_lines

    workload = read_workload(file)
    if to == "hf":
        write_hf(workload, output)
    else:
        write_lines(mooncake_lines(workload), output)
    typer.echo(f"{output}: {len(workload.sessions):,} sessions of {file} as {to}")


@app.command()
@verb
def make(
    recipe: Annotated[
        str, typer.Argument(help="A recipe's name or its TOML file.", autocompletion=complete)
    ],
    output: Out,
    sessions: Annotated[int | None, Option(None, "How many sessions.")] = None,
    rate: Rate = None,
    load: Load = None,
    arrivals: ArrivalKind = None,
    seed: Seed = None,
    tools: Annotated[str | None, Option(None, "The tool mix.")] = None,
    prefixes: Annotated[
        int | None, Option(None, "Variants of the shared prefix; 0 shares nothing.")
    ] = None,
    warm_start: Annotated[
        float | None, Option(None, "In flight at the start: times rate x mean seconds alone.")
    ] = None,
    tenants: Annotated[
        str | None, Option(None, "Whose: even:N, greedy:N, long:N, shares:5,3,2.")
    ] = None,
    context_paging: Annotated[
        int | None, Option(None, "Page contexts in a window of so many tokens, as MemGPT does.")
    ] = None,
) -> None:
    """Make sessions from a recipe; options not given are the recipe's own."""
    from marsbench.core.workload.files import require_writable, write_workload
    from marsbench.core.workload.knobs import Knobs
    from marsbench.core.workload.make import make_workload
    from marsbench.core.workload.paging import paged
    from marsbench.core.workload.recipe import load_recipe
    from marsbench.show.workload import summary_line
    from marsbench.show.workload_check import check, verdict

    knobs = Knobs(
        sessions=sessions,
        rate=rate,
        load=load,
        arrivals=arrivals,
        seed=seed,
        tools=tools,
        prefixes=prefixes,
        warm_start=warm_start,
        tenants=tenants,
        context_paging=context_paging,
    )
    found = load_recipe(recipe)
    require_writable(output)
    workload = make_workload(found, knobs, mean_gpu_s, progress("making sessions"))
    rows = check(workload, found)  # of the sessions as they were drawn
    if context_paging is not None:
        workload = paged(workload, context_paging)
    if warm_start is not None:
        workload = _warm(workload, warm_start)
    write_workload(workload, output)
    typer.echo(f"{output}: {summary_line(workload)}; {verdict(rows, found.name)}")


def _warm(workload: Workload, times: float) -> Workload:
    """With sessions in flight at its start, as they would be on the default hardware."""
    from marsbench.core.settings import EngineSettings
    from marsbench.hardware.profile import load_hardware
    from marsbench.runs.job import warm_up

    return warm_up(workload, times, load_hardware(), EngineSettings(), show_progress=True)


@app.command()
def show(
    source: Annotated[
        str, typer.Argument(help="A workload file, or a recipe.", autocompletion=complete)
    ],
    plot: Annotated[
        Path | None, typer.Option(help="Also draw the distributions (.png, .svg, .pdf).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the distributions of a workload beside its recipe's targets.

    Of a recipe, 300 sessions are drawn and shown.
    """
    from marsbench.show.workload import workload_json, workload_table
    from marsbench.show.workload_plot import plot_workload
    from marsbench.text.console import console

    workload, recipe = _shown(source)
    if plot is not None:
        plot_workload(workload, recipe, plot)
    if as_json:
        typer.echo(workload_json(workload, recipe), nl=False)
    else:
        workload_table(workload, recipe, console())


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A workload file.")],
    recipe: Annotated[
        str | None, typer.Option(help="Check against this one, not the one it was made from.")
    ] = None,
) -> None:
    """Check a workload against a recipe's targets; exit code 1 if it misses any."""
    from marsbench.core.workload.files import read_workload
    from marsbench.core.workload.recipe import load_recipe
    from marsbench.errors import UsageError
    from marsbench.show.workload import check_table
    from marsbench.show.workload_check import check, verdict
    from marsbench.text.console import console

    workload = read_workload(file)
    found = _origin(workload) if recipe is None else load_recipe(recipe)
    if found is None:
        why = "does not say which recipe it was made from"
        if "context_paging" in workload.meta:
            why = "was paged, and has its recipe's targets no more"
        raise UsageError(f"{file} {why}; give one with --recipe NAME.")
    rows = check(workload, found)
    check_table(rows, console())
    typer.echo(f"{file} {verdict(rows, found.name)}")
    if any(row.ok is False for row in rows):
        raise typer.Exit(1)


def _shown(source: str) -> tuple[Workload, Recipe | None]:
    """A file's workload with the recipe it came from, or a recipe's with a sample of it."""
    from marsbench.core.workload.files import read_workload
    from marsbench.core.workload.knobs import Knobs
    from marsbench.core.workload.make import make_workload
    from marsbench.core.workload.recipe import load_recipe

    if Path(source).suffix != ".toml" and Path(source).exists():
        workload = read_workload(Path(source))
        return workload, _origin(workload)
    recipe = load_recipe(source)
    # Lanes, for without a rate there are no times between arrivals to show.
    knobs = Knobs(sessions=_SAMPLE, arrivals="closed:1")
    return make_workload(recipe, knobs, track=progress("making sessions")), recipe


def _origin(workload: Workload) -> Recipe | None:
    """The recipe that a workload says it was made from, if it is one of ours and not paged."""
    from marsbench.core.workload.recipe import load_recipe, recipe_names

    name = workload.meta.get("recipe")
    is_ours = isinstance(name, str) and name in recipe_names()
    return load_recipe(str(name)) if is_ours and "context_paging" not in workload.meta else None
