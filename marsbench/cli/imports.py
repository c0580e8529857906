"""`marsbench workload import`: a command a format; what is left out is said on stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marsbench.cli.workload_shared import ArrivalKind, Load, Out, Rate, Seed, mean_gpu_s, progress

# What a command needs is imported when it is called, so that --help answers at once.
if TYPE_CHECKING:
    from marsbench.core.session import Session
    from marsbench.core.workload.files import Workload
    from marsbench.formats.fallback import Fallback
    from marsbench.formats.reading import ImportResult

import_app = typer.Typer(no_args_is_help=True, help="Turn recordings into a workload.")

Files = Annotated[list[Path], typer.Argument(help="Files, as they are or packed with gzip.")]
MaxTokens = Annotated[
    int | None,
    typer.Option(help="Leave out sessions that grow longer, such as a model cannot take."),
]
Tokenizer = Annotated[
    str | None,
    typer.Option(metavar="NAME|PATH", help="Counts the tokens that were not recorded."),
]
ToolTime = Annotated[
    float | None, typer.Option(metavar="S", help="Seconds of a tool call that nobody timed.")
]

# Most recordings have no start times to go by. One session in 100 s is one user's pace times a few.
_IMPORT_RATE = 0.01


@import_app.command()
def weka(
    files: Annotated[list[Path], typer.Argument(help="Traces, .json or .json.gz, one a session.")],
    output: Out,
    rate: Rate = None,
    load: Load = None,
    arrivals: ArrivalKind = None,
    seed: Seed = None,
    max_tokens: MaxTokens = None,
) -> None:
    """Import anonymised Claude Code traces (kv-cache-tester).

    Exit code 1 when a file was left out (the others are written), 2 when all were. The traces
    have no start times: sessions arrive poisson at 0.01 per second unless told otherwise.
    """
    given = locals()
    from marsbench.formats.weka import import_weka

    _check(given)
    _write("weka", import_weka(files, progress("reading traces")), given)


@import_app.command()
def openhands(
    paths: Annotated[
        list[Path], typer.Argument(help="V1 conversations or folders of them; V0 output.jsonl.")
    ],
    output: Out,
    tokenizer: Tokenizer = None,
    tool_time: ToolTime = None,
    rate: Rate = None,
    load: Load = None,
    arrivals: ArrivalKind = None,
    seed: Seed = None,
    max_tokens: MaxTokens = None,
) -> None:
    """Import OpenHands trajectories, V1 folders and V0 histories.

    Lengths are the recorded token usage, tool times the recorded time stamps. Sessions arrive
    poisson at 0.01 per second unless told otherwise.
    """
    given = locals()
    from marsbench.formats.openhands import import_openhands

    found = import_openhands(paths, _stated(given), progress("reading trajectories"))
    _write("openhands", found, given)


@import_app.command()
def sweagent(
    files: Files,
    output: Out,
    tokenizer: Tokenizer = None,
    tool_time: ToolTime = None,
    rate: Rate = None,
    load: Load = None,
    arrivals: ArrivalKind = None,
    seed: Seed = None,
    max_tokens: MaxTokens = None,
) -> None:
    """Import SWE-agent trajectories (.traj).

    They have no token usage a call, so --tokenizer is needed; without execution_time, --tool-time
    is too. Sessions arrive poisson at 0.01 per second unless told otherwise.
    """
    given = locals()
    from marsbench.formats.sweagent import import_sweagent

    found = import_sweagent(files, _stated(given), progress("reading trajectories"))
    _write("sweagent", found, given)


@import_app.command()
def miniswe(
    files: Files,
    output: Out,
    tokenizer: Tokenizer = None,
    tool_time: ToolTime = None,
    rate: Rate = None,
    load: Load = None,
    arrivals: ArrivalKind = None,
    seed: Seed = None,
    max_tokens: MaxTokens = None,
) -> None:
    """Import mini-swe-agent trajectories (.traj.json).

    Early versions recorded neither usage nor times: --tokenizer and --tool-time state them.
    Sessions arrive poisson at 0.01 per second unless told otherwise.
    """
    given = locals()
    from marsbench.formats.miniswe import import_miniswe

    found = import_miniswe(files, _stated(given), progress("reading trajectories"))
    _write("miniswe", found, given)


@import_app.command()
def mooncake(
    files: Files,
    output: Out,
    tool_time: ToolTime = None,
    rate: Rate = None,
    load: Load = None,
    arrivals: ArrivalKind = None,
    seed: Seed = None,
    max_tokens: MaxTokens = None,
) -> None:
    """Import Mooncake traces: plain, of several turns (AIPerf) or agentic (Dynamo).

    Sessions arrive as recorded unless told otherwise; --rate alone stretches the recorded
    pattern to that mean rate. Equal first blocks (hash_ids) become prefix groups.
    """
    given = locals()
    from marsbench.formats.mooncake import import_mooncake

    found = import_mooncake(files, _stated(given), progress("reading requests"))
    _write("mooncake", found, given, recorded=True)


@import_app.command()
def azure(
    file: Annotated[Path, typer.Argument(help="A trace, .csv or .csv.gz.")],
    output: Out,
    workload: Annotated[
        Path | None, typer.Option(help="Give this workload's sessions the trace's arrivals.")
    ] = None,
    rate: Rate = None,
    max_tokens: MaxTokens = None,
) -> None:
    """Import the arrivals of Azure's LLM inference traces.

    With --workload its sessions arrive as the trace's first requests did; without, each request
    is a session of one round. --rate stretches the pattern to that mean rate.
    """
    given = {**locals(), "load": None, "arrivals": None, "seed": None}
    from marsbench.errors import UsageError
    from marsbench.formats.azure import read_azure, single_rounds
    from marsbench.formats.reading import ImportResult, ReadError

    _check(given)
    try:
        requests, problems = read_azure(file)
    except ReadError as error:
        raise UsageError(f"{file}: {error}.") from error
    meta: dict[str, object] = {"format": "azure"}
    if workload is None:
        typer.echo("each request is a session of one round", err=True)
        sessions = single_rounds(requests, file.name.partition(".")[0])
    else:
        sessions, origin = _arriving(workload, [request.at_s for request in requests], file)
        meta = {**origin, **meta}
    found = ImportResult(tuple(sessions), tuple(problems))
    _write("azure", found, given, recorded=True, meta=meta)


@import_app.command()
def hf(
    name: Annotated[
        str, typer.Argument(help="A .parquet, .json or .jsonl file, a folder, or a hub name.")
    ],
    output: Out,
    split: Annotated[str, typer.Option(help="Of a data set of several.")] = "train",
    sessions: Annotated[int | None, typer.Option(min=1, help="The first N rows alone.")] = None,
    tokenizer: Tokenizer = None,
    tool_time: ToolTime = None,
    rate: Rate = None,
    load: Load = None,
    arrivals: ArrivalKind = None,
    seed: Seed = None,
    max_tokens: MaxTokens = None,
) -> None:
    """Import a data set of trajectories through Hugging Face `datasets`.

    The columns tell the schema: OpenHands, mini-swe-agent, messages (SWE-smith, Continuum), or
    our own export. Sessions arrive poisson at 0.01 per second unless told otherwise.
    """
    given = locals()
    from marsbench.formats.hf import import_hf

    found = import_hf(name, _stated(given), split, sessions, progress("reading rows"))
    _write("hf", found, given)


@import_app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="The folder of a run, of any engine.")],
    output: Out,
    rate: Rate = None,
    load: Load = None,
    arrivals: ArrivalKind = None,
    seed: Seed = None,
    max_tokens: MaxTokens = None,
) -> None:
    """Import the sessions of a run that marsbench recorded, as they were played.

    Prompts, outputs, tool times and arrivals are those of the run; --rate alone stretches its
    arrivals to that mean rate. Which tokens sessions shared is not in a run's events.
    """
    given = locals()
    from marsbench.core.runs import RunFolder
    from marsbench.formats.recorded_run import import_run, meta_of

    _check(given)
    recorded = RunFolder.open(folder)
    found = import_run(recorded, progress("reading sessions"))
    _write("run", found, given, recorded=True, meta=meta_of(recorded))


def _check(given: Mapping[str, Any]) -> None:
    """Refuse what cannot be, before the work and not after. Raises UsageError."""
    from marsbench.core.workload.files import require_writable
    from marsbench.formats.arrivals import schedule_of

    require_writable(given["output"])
    schedule_of(given, _IMPORT_RATE)


def _stated(given: Mapping[str, Any]) -> Fallback:
    from marsbench.formats.fallback import fallback_of

    _check(given)
    return fallback_of(given.get("tokenizer"), given.get("tool_time"))


def _write(
    kind: str,
    found: ImportResult,
    given: Mapping[str, Any],
    *,
    recorded: bool = False,
    meta: Mapping[str, object] | None = None,
) -> None:
    """Say what was left out, write the rest, and exit with 1 if a file or row was left out."""
    from marsbench.core.workload.files import write_workload
    from marsbench.formats.arrivals import workload_of
    from marsbench.show.workload import summary_line

    _report(found)
    sessions = _short_enough(found.sessions, given["max_tokens"])
    left_out = len(found.problems) + len(found.sessions) - len(sessions)
    about = {
        **(meta or {"format": kind}),
        "left_out": left_out,
        **{k: given[k] for k in ("tokenizer", "tool_time", "max_tokens") if given.get(k)},
    }
    workload: Workload = workload_of(
        kind, sessions, given, about, mean_gpu_s, _IMPORT_RATE, recorded, found.header
    )
    write_workload(workload, given["output"])
    typer.echo(f"{given['output']}: {summary_line(workload)}")
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
