"""`marsbench workload import`: a command a format; what is left out is said on stderr."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeVar

import typer

from marsbench.cli.options import verb
from marsbench.core.workload.knobs import Knobs
from marsbench.option import Option, options_of

# What a command needs is imported when it is called, so that --help answers at once.
if TYPE_CHECKING:
    from marsbench.core.session import Session
    from marsbench.formats.fallback import Fallback
    from marsbench.formats.reading import ImportResult

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Turn recordings into a workload.")

Out = Annotated[Path, Option(None, "The workload file to write.", names=("-o", "--output"))]
Rate = Annotated[float | None, Option(None, "Sessions per second.")]
Load = Annotated[
    float | None, Option(None, "Offered load: rate x mean GPU seconds of a session alone.")
]
ArrivalKind = Annotated[
    str | None, Option(None, "poisson, fixed, gamma:CV, burst:SIZE or closed:LANES.")
]
Seed = Annotated[int | None, Option(None, "Another seed gives other sessions.")]

# Most recordings have no start times to go by. One session in 100 s is one user's pace times a few.
_IMPORT_RATE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """The options of all imports; a format takes those of `Format.options`."""

    output: Out
    workload: Annotated[
        Path | None, Option(None, "Give this workload's sessions the trace's arrivals.")
    ] = None
    split: Annotated[str, Option(None, "Of a data set of several.", shows_default=True)] = "train"
    sessions: Annotated[int | None, Option(None, "The first N rows alone.", least=1)] = None
    tokenizer: Annotated[
        str | None, Option("NAME|PATH", "Counts the tokens that were not recorded.")
    ] = None
    tool_time: Annotated[float | None, Option("S", "Seconds of a tool call that nobody timed.")] = (
        None
    )
    rate: Rate = None
    load: Load = None
    arrivals: ArrivalKind = None
    seed: Seed = None
    max_tokens: Annotated[
        int | None,
        Option(None, "Leave out sessions that grow longer, such as a model cannot take."),
    ] = None

    @property
    def knobs(self) -> Knobs:
        """Raises UsageError for what cannot be."""
        return Knobs(rate=self.rate, load=self.load, arrivals=self.arrivals, seed=self.seed)

    def check(self) -> None:
        """Refuse what cannot be, before the work and not after. Raises UsageError."""
        from marsbench.core.workload.files import require_writable
        from marsbench.formats.arrivals import schedule_of

        require_writable(self.output)
        schedule_of(self.knobs, _IMPORT_RATE)

    @property
    def fallback(self) -> Fallback:
        """What stands in where a recording is silent. Raises UsageError for what cannot be."""
        from marsbench.formats.fallback import fallback_of

        return fallback_of(self.tokenizer, self.tool_time)


class Imported(NamedTuple):
    """What was read, and what the workload says of where it comes from."""

    result: ImportResult
    meta: Mapping[str, object] = MappingProxyType({})


Reader = Callable[..., Imported]
"""Reads a source, its first parameter, with `options`; its text is the command's help."""

ARRIVING = ("output", "rate", "load", "arrivals", "seed", "max_tokens")
STATED = ("tokenizer", "tool_time")

Files = Annotated[list[Path], typer.Argument(help="Files, as they are or packed with gzip.")]


def _command(*takes: str, recorded: bool = False) -> Callable[[Reader], Reader]:
    """Makes a command of a reader that takes these of the options.

    recorded: whether sessions arrive as they did, unless told otherwise.
    """

    def made(read: Reader) -> Reader:
        @functools.wraps(read)
        def command(options: ImportOptions, **source: object) -> None:
            options.check()
            _write(read.__name__, read(options=options, **source), options, recorded)

        app.command()(verb(command, options_of(ImportOptions).keys() - takes))
        return read

    return made


@_command(*ARRIVING)
def weka(
    files: Annotated[list[Path], typer.Argument(help="Traces, .json or .json.gz, one a session.")],
    options: ImportOptions,
) -> Imported:
    """Import anonymised Claude Code traces (kv-cache-tester).

    Exit code 1 when a file was left out (the others are written), 2 when all were. The traces
    have no start times: sessions arrive poisson at 0.01 per second unless told otherwise.
    """
    from marsbench.formats.weka import import_weka

    return Imported(import_weka(files, progress("reading traces")))


@_command(*ARRIVING, *STATED)
def openhands(
    paths: Annotated[
        list[Path], typer.Argument(help="V1 conversations or folders of them; V0 output.jsonl.")
    ],
    options: ImportOptions,
) -> Imported:
    """Import OpenHands trajectories, V1 folders and V0 histories.

    Lengths are the recorded token usage, tool times the recorded time stamps. Sessions arrive
    poisson at 0.01 per second unless told otherwise.
    """
    from marsbench.formats.openhands import import_openhands

    return Imported(import_openhands(paths, options.fallback, progress("reading trajectories")))


@_command(*ARRIVING, *STATED)
def sweagent(files: Files, options: ImportOptions) -> Imported:
    """Import SWE-agent trajectories (.traj).

    They have no token usage a call, so --tokenizer is needed; without execution_time, --tool-time
    is too. Sessions arrive poisson at 0.01 per second unless told otherwise.
    """
    from marsbench.formats.sweagent import import_sweagent

    return Imported(import_sweagent(files, options.fallback, progress("reading trajectories")))


@_command(*ARRIVING, *STATED)
def miniswe(files: Files, options: ImportOptions) -> Imported:
    """Import mini-swe-agent trajectories (.traj.json).

    Early versions recorded neither usage nor times: --tokenizer and --tool-time state them.
    Sessions arrive poisson at 0.01 per second unless told otherwise.
    """
    from marsbench.formats.miniswe import import_miniswe

    return Imported(import_miniswe(files, options.fallback, progress("reading trajectories")))


@_command(*ARRIVING, "tool_time", recorded=True)
def mooncake(files: Files, options: ImportOptions) -> Imported:
    """Import Mooncake traces: plain, of several turns (AIPerf) or agentic (Dynamo).

    Sessions arrive as recorded unless told otherwise; --rate alone stretches the recorded
    pattern to that mean rate. Equal first blocks (hash_ids) become prefix groups.
    """
    from marsbench.formats.mooncake import import_mooncake

    return Imported(import_mooncake(files, options.fallback, progress("reading requests")))


@_command("output", "workload", "rate", "max_tokens", recorded=True)
def azure(
    file: Annotated[Path, typer.Argument(help="A trace, .csv or .csv.gz.")],
    options: ImportOptions,
) -> Imported:
    """Import the arrivals of Azure's LLM inference traces.

    With --workload its sessions arrive as the trace's first requests did; without, each request
    is a session of one round. --rate stretches the pattern to that mean rate.
    """
    from marsbench.errors import UsageError
    from marsbench.formats.azure import read_azure, single_rounds
    from marsbench.formats.reading import ImportResult, ReadError

    try:
        requests, problems = read_azure(file)
    except ReadError as error:
        raise UsageError(f"{file}: {error}.") from error
    origin: Mapping[str, object] = {}
    if options.workload is None:
        typer.echo("each request is a session of one round", err=True)
        sessions = single_rounds(requests, file.name.partition(".")[0])
    else:
        times = [request.at_s for request in requests]
        sessions, origin = _arriving(options.workload, times, file)
    found = ImportResult(tuple(sessions), tuple(problems))
    return Imported(found, {**origin, "format": "azure"})


@_command(*ARRIVING, *STATED, "split", "sessions")
def hf(
    name: Annotated[
        str, typer.Argument(help="A .parquet, .json or .jsonl file, a folder, or a hub name.")
    ],
    options: ImportOptions,
) -> Imported:
    """Import a data set of trajectories through Hugging Face `datasets`.

    The columns tell the schema: OpenHands, mini-swe-agent, messages (SWE-smith, Continuum), or
    our own export. Sessions arrive poisson at 0.01 per second unless told otherwise.
    """
    from marsbench.formats.hf import import_hf

    shown = progress("reading rows")
    return Imported(import_hf(name, options.fallback, options.split, options.sessions, shown))


@_command(*ARRIVING, recorded=True)
def run(
    folder: Annotated[Path, typer.Argument(help="The folder of a run, of any engine.")],
    options: ImportOptions,
) -> Imported:
    """Import the sessions of a run that marsbench recorded, as they were played.

    Prompts, outputs, tool times and arrivals are those of the run; --rate alone stretches its
    arrivals to that mean rate. Which tokens sessions shared is not in a run's events.
    """
    from marsbench.formats.recorded_run import import_run, meta_of
    from marsbench.runs import RunFolder

    recorded = RunFolder.open(folder)
    return Imported(import_run(recorded, progress("reading sessions")), meta_of(recorded))


def mean_gpu_s(sessions: Sequence[Session]) -> float:
    """Mean seconds that these sessions keep the default engine busy, each alone on it."""
    from marsbench.core.hardware.profile import load_hardware
    from marsbench.core.isolated import cache_folder, isolated
    from marsbench.core.settings import EngineSettings

    return isolated(sessions, load_hardware(), EngineSettings(), cache=cache_folder()).mean_gpu_s


def progress(label: str) -> Callable[[Sequence[T]], Iterable[T]]:
    """A progress bar on stderr, where a person sees it."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    quiet = not console.is_terminal

    def shown(items: Sequence[T]) -> Iterable[T]:
        return track(items, label, console=console, transient=True, disable=quiet)

    return shown


def _write(kind: str, imported: Imported, options: ImportOptions, recorded: bool) -> None:
    """Say what was left out, write the rest, and exit with 1 if a file or row was left out."""
    from marsbench.core.workload.files import write_workload
    from marsbench.formats.arrivals import workload_of
    from marsbench.show.workload import summary_line

    found = imported.result
    _report(found)
    sessions = _short_enough(found.sessions, options.max_tokens)
    stated = {name: getattr(options, name) for name in (*STATED, "max_tokens")}
    about = {
        **(imported.meta or {"format": kind}),
        "left_out": len(found.problems) + len(found.sessions) - len(sessions),
        **{name: value for name, value in stated.items() if value},
    }
    workload = workload_of(
        kind, sessions, options.knobs, about, mean_gpu_s, _IMPORT_RATE, recorded, found.header
    )
    write_workload(workload, options.output)
    typer.echo(f"{options.output}: {summary_line(workload)}")
    if found.problems:
        raise typer.Exit(1)


def _report(result: ImportResult) -> None:
    """Say on stderr what was left out. Raises UsageError when nothing is left."""
    from marsbench.errors import UsageError

    if not result.sessions:
        others = len(result.problems) - 1
        more = f" (and {others} more)" if others > 0 else ""
        why = result.problems[0] if result.problems else "there is nothing in it"
        raise UsageError(f"Nothing was imported: {why}{more}.")
    for problem in result.problems:
        typer.echo(f"left out: {problem}", err=True)
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
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


def _arriving(
    path: Path, times: Sequence[float], trace: Path
) -> tuple[list[Session], dict[str, object]]:
    """The workload's sessions at the trace's first arrivals, and where they come from.

    Raises UsageError when the trace has too few.
    """
    from dataclasses import replace

    from marsbench.core.workload.files import read_workload
    from marsbench.errors import UsageError

    workload = read_workload(path)
    sessions = workload.sessions
    if len(times) < len(sessions):
        raise UsageError(
            f"{trace} has {len(times):,} arrivals and {path} {len(sessions):,} sessions; "
            f"give a workload of at most that many."
        )
    typer.echo(f"the sessions of {path} arrive as the first {len(sessions):,} did", err=True)
    origin = {key: value for key, value in workload.meta.items() if key not in ("rate", "load")}
    return [replace(s, arrival_s=at) for s, at in zip(sessions, times, strict=False)], origin
