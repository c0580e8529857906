"""`marsbench workload`: make, show, check and import workloads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

# What a command needs is imported when it is called, so that --help answers at once.
if TYPE_CHECKING:
    from marsbench.session import Session
    from marsbench.workload.files import Workload
    from marsbench.workload.recipe import Recipe
    from marsbench.workload.weka import ImportResult

app = typer.Typer(no_args_is_help=True, help="Make, show, check and import workloads.")
import_app = typer.Typer(no_args_is_help=True, help="Turn recorded traces into a workload.")
app.add_typer(import_app, name="import")

Out = Annotated[Path, typer.Option("-o", "--output", help="The workload file to write.")]
Rate = Annotated[float | None, typer.Option(help="Sessions per second.")]
Load = Annotated[
    float | None, typer.Option(help="Offered load: rate x mean GPU seconds of a session alone.")
]
ArrivalKind = Annotated[
    str | None, typer.Option(help="poisson, fixed, gamma:CV, burst:SIZE or closed:LANES.")
]
Seed = Annotated[int | None, typer.Option(help="Another seed gives other sessions.")]

# Recordings have no start times to go by. One session in 100 s is one user's pace times a few.
_IMPORT_RATE = 0.01
_SAMPLE = 300

T = TypeVar("T")


@app.command()
def make(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or its TOML file.")],
    output: Out,
    sessions: Annotated[int | None, typer.Option(help="How many sessions.")] = None,
    rate: Rate = None,
    load: Load = None,
    arrivals: ArrivalKind = None,
    seed: Seed = None,
    tools: Annotated[str | None, typer.Option(help="The tool mix.")] = None,
    prefixes: Annotated[
        int | None, typer.Option(help="Variants of the shared prefix; 0 shares nothing.")
    ] = None,
) -> None:
    """Make sessions from a recipe; options not given are the recipe's own."""
    from marsbench.workload.check import check, verdict
    from marsbench.workload.files import require_writable, write_workload
    from marsbench.workload.make import Knobs, make_workload
    from marsbench.workload.recipe import load_recipe
    from marsbench.workload.show import summary_line

    knobs = Knobs(sessions, rate, load, arrivals, seed, tools, prefixes)
    found = load_recipe(recipe)
    require_writable(output)
    workload = make_workload(found, knobs, _mean_gpu_s, _progress("making sessions"))
    write_workload(workload, output)
    typer.echo(f"{output}: {summary_line(workload)}; {verdict(check(workload, found), found.name)}")


@app.command()
def show(
    source: Annotated[str, typer.Argument(help="A workload file, or a recipe.")],
    plot: Annotated[
        Path | None, typer.Option(help="Also draw the distributions (.png, .svg, .pdf).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the distributions of a workload beside its recipe's targets.

    Of a recipe, 300 sessions are drawn and shown.
    """
    from rich.console import Console

    from marsbench.workload.plot import plot_workload
    from marsbench.workload.show import workload_json, workload_table

    workload, recipe = _shown(source)
    if plot is not None:
        plot_workload(workload, recipe, plot)
    if as_json:
        typer.echo(workload_json(workload, recipe), nl=False)
    else:
        workload_table(workload, recipe, Console())


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A workload file.")],
    recipe: Annotated[
        str | None, typer.Option(help="Check against this one, not the one it was made from.")
    ] = None,
) -> None:
    """Check a workload against a recipe's targets; exit code 1 if it misses any."""
    from rich.console import Console

    from marsbench.errors import UsageError
    from marsbench.workload.check import check, verdict
    from marsbench.workload.files import read_workload
    from marsbench.workload.recipe import load_recipe
    from marsbench.workload.show import check_table

    workload = read_workload(file)
    found = _origin(workload) if recipe is None else load_recipe(recipe)
    if found is None:
        raise UsageError(
            f"{file} does not say which recipe it was made from; give one with --recipe NAME."
        )
    rows = check(workload, found)
    check_table(rows, Console())
    typer.echo(f"{file} {verdict(rows, found.name)}")
    if any(row.ok is False for row in rows):
        raise typer.Exit(1)


@import_app.command()
def weka(
    files: Annotated[list[Path], typer.Argument(help="Traces, .json or .json.gz, one a session.")],
    output: Out,
    rate: Rate = None,
    load: Load = None,
    arrivals: ArrivalKind = None,
    seed: Seed = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(help="Leave out sessions that grow longer, such as a model cannot take."),
    ] = None,
) -> None:
    """Import anonymised Claude Code traces (kv-cache-tester).

    Exit code 1 when a file was left out (the others are written), 2 when all were. The traces
    have no start times: sessions arrive poisson at 0.01 per second unless told otherwise.
    """
    from marsbench.workload.files import require_writable, write_workload
    from marsbench.workload.make import Knobs, Schedule, arrange
    from marsbench.workload.recipe import Defaults
    from marsbench.workload.show import summary_line
    from marsbench.workload.weka import import_weka

    knobs = Knobs(rate=rate, load=load, arrivals=arrivals, seed=seed)
    schedule = Schedule.of(knobs, Defaults(rate=_IMPORT_RATE))
    require_writable(output)
    result = import_weka(files, _progress("reading traces"))
    _report(result)
    sessions = _short_enough(result.sessions, max_tokens)
    left_out = len(files) - len(sessions)
    meta = {"format": "weka", "files": len(files), "left_out": left_out, "max_tokens": max_tokens}
    workload = arrange("weka", sessions, schedule, _mean_gpu_s, meta)
    write_workload(workload, output)
    typer.echo(f"{output}: {summary_line(workload)}")
    if result.problems:
        raise typer.Exit(1)


def _report(result: ImportResult) -> None:
    """Say on stderr what was left out. Raises UsageError when nothing is left."""
    from marsbench.errors import UsageError

    if not result.sessions:
        others = len(result.problems) - 1
        more = f" (and {others} more)" if others else ""
        raise UsageError(f"Nothing was imported: {result.problems[0]}{more}.")
    for problem in result.problems:
        typer.echo(f"left out: {problem}", err=True)
    if result.unawaited:
        typer.echo(f"left out: {result.unawaited} sub-agents that nothing waits for", err=True)


def _short_enough(sessions: Sequence[Session], max_tokens: int | None) -> list[Session]:
    """Those that never grow longer than that; the others are named on stderr.

    Raises UsageError when none is left.
    """
    from marsbench.errors import UsageError

    if max_tokens is None:
        return list(sessions)
    peaks = {s.id: max(part.peak_tokens for part in s.walk()) for s in sessions}
    for name, peak in peaks.items():
        if peak > max_tokens:
            typer.echo(f"left out: {name} grows to {peak:,} tokens", err=True)
    kept = [s for s in sessions if peaks[s.id] <= max_tokens]
    if not kept:
        raise UsageError(
            f"Every session grows longer than --max-tokens {max_tokens:,}, the shortest to "
            f"{min(peaks.values()):,}; give at least that."
        )
    return kept


def _shown(source: str) -> tuple[Workload, Recipe | None]:
    """A file's workload with the recipe it came from, or a recipe's with a sample of it."""
    from marsbench.workload.files import read_workload
    from marsbench.workload.make import Knobs, make_workload
    from marsbench.workload.recipe import load_recipe

    if Path(source).suffix != ".toml" and Path(source).exists():
        workload = read_workload(Path(source))
        return workload, _origin(workload)
    recipe = load_recipe(source)
    # Lanes, for without a rate there are no times between arrivals to show.
    knobs = Knobs(sessions=_SAMPLE, arrivals="closed:1")
    return make_workload(recipe, knobs, track=_progress("making sessions")), recipe


def _origin(workload: Workload) -> Recipe | None:
    """The recipe that a workload says it was made from, if it is one of ours."""
    from marsbench.workload.recipe import load_recipe, recipe_names

    name = workload.meta.get("recipe")
    return load_recipe(name) if isinstance(name, str) and name in recipe_names() else None


def _mean_gpu_s(sessions: Sequence[Session]) -> float:
    from marsbench.engine.isolated import mean_gpu_s

    return mean_gpu_s(sessions)


def _progress(label: str) -> Callable[[Sequence[T]], Iterable[T]]:
    """A progress bar on stderr, where a person sees it."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    quiet = not console.is_terminal

    def shown(items: Sequence[T]) -> Iterable[T]:
        return track(items, label, console=console, transient=True, disable=quiet)

    return shown
