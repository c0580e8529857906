"""The command line: each verb reads options, calls one function, prints."""

from __future__ import annotations

import io
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from marsbench.cli import INTERRUPTED, STOPPED
from marsbench.cli.advise import advise
from marsbench.cli.bounds import bounds
from marsbench.cli.completion import backend as complete_backend
from marsbench.cli.completion import mend_zsh
from marsbench.cli.completion import router as complete_router
from marsbench.cli.doctor import doctor
from marsbench.cli.explore import explore
from marsbench.cli.export import export
from marsbench.cli.gateway import gateway
from marsbench.cli.hardware import app as hardware_app
from marsbench.cli.hardware import calibrate
from marsbench.cli.judge import capacity, compare, gate
from marsbench.cli.options import explicit, verb
from marsbench.cli.replay import app as replay_app
from marsbench.cli.report import report
from marsbench.cli.serve import serve
from marsbench.cli.setup import setup
from marsbench.cli.show import show
from marsbench.cli.sweep import sweep
from marsbench.cli.vllm import app as vllm_app
from marsbench.cli.why import why
from marsbench.cli.workload import app as workload_app
from marsbench.errors import MarsbenchError, UsageError
from marsbench.extras import saying_what_is_missing
from marsbench.option import AsJson
from marsbench.run_options import RunOptions
from marsbench.version import __version__

# What a verb needs is imported when it is called, so that --help answers at once.
app = typer.Typer(
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)
app.add_typer(workload_app, name="workload")
app.add_typer(hardware_app, name="hardware")
app.add_typer(replay_app, name="replay")
app.add_typer(vllm_app, name="vllm")


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and commit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """The neutral referee for LLM serving schedulers under coding agents."""
    if version:
        typer.echo(f"marsbench {_version()}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _version() -> str:
    """ "0.1.0 (3f2a91c)"; the version alone where marsbench runs from no checkout of its own."""
    from marsbench.runs.provenance import Provenance

    code = Provenance.here()
    return __version__ if code.commit is None else f"{__version__} ({code.label})"


@app.command()
@verb
def run(context: typer.Context, options: RunOptions, as_json: AsJson = False) -> None:
    """Play agent sessions through a scheduler and say which stay on track."""
    from marsbench.api import play

    played = play(options, explicit(context), show_progress=True)
    _show_run(played.path, as_json)
    if not played.summary["valid"]:
        raise typer.Exit(3)


def _show_run(run: Path, as_json: bool) -> None:
    """Its figures; beside them what became of real agents' tasks, and where the run lies."""
    from marsbench.show.run import show_run
    from marsbench.wall.agents.results import read_results, say_results

    show_run(run, as_json)
    results = read_results(run)
    if results is not None:
        typer.echo(say_results(results), err=True)
    typer.echo(f"run folder: {run}", err=True)


@app.command()
@verb
def backends(
    name: Annotated[
        str | None, typer.Argument(help="Show this one whole.", autocompletion=complete_backend)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the installed backends with their papers and parameters."""
    from marsbench.show.backends import show_backends

    show_backends(name, as_json)


@app.command()
@verb
def routers(
    name: Annotated[
        str | None, typer.Argument(help="Show this one whole.", autocompletion=complete_router)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the routers of several replicas with their sources and parameters."""
    from marsbench.show.routers import show_routers

    show_routers(name, as_json)


# In the order in which a user meets them.
for _command in (
    advise,
    show,
    why,
    explore,
    sweep,
    compare,
    bounds,
    gate,
    capacity,
    report,
    export,
    serve,
    gateway,
    calibrate,
    doctor,
    setup,
):
    app.command()(_command)


@cache  # building it takes tens of milliseconds
def command() -> Any:
    return typer.main.get_command(app)


def main() -> None:
    """Every error of ours becomes one sentence and its exit code."""
    _print_whatever_comes()
    mend_zsh()
    try:
        with saying_what_is_missing():
            code = command()(prog_name="marsbench", standalone_mode=False)
    except MarsbenchError as error:
        if "--debug" in sys.argv:
            raise
        _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        _fail(_asked_wrongly(error), _code_of(error))
    if code == INTERRUPTED:
        _fail(STOPPED, INTERRUPTED)
    sys.exit(code)


def _print_whatever_comes() -> None:
    """A character that standard output cannot encode (α in ASCII) becomes a "?", never an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _asked_wrongly(error: typer.TyperException) -> str:
    """What is wrong with the command as typed, and where to read what it may be."""
    context = getattr(error, "ctx", None)
    verb = context.command_path if context else "marsbench"
    what = error.format_message().replace("Value error, ", "").rstrip(".")
    return f"{what or 'Missing command'} (`{verb} --help` says what can be given)."


def _code_of(error: typer.TyperException) -> int:
    """Of a command typed wrongly. For a gate that is 3: its 2 says inconclusive."""
    context = getattr(error, "ctx", None)
    gated = context is not None and context.info_name == "gate"
    return MarsbenchError.exit_code if gated else UsageError.exit_code


def _fail(sentence: str, code: int) -> NoReturn:
    typer.echo(f"marsbench: {sentence}", err=True)
    sys.exit(code)
