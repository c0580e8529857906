"""`marsbench workload import`: a command a format, and one that recognises it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer
from typer.core import TyperGroup

from marsbench.cli.options import verb
from marsbench.core.workload.knobs import Knobs
from marsbench.option import Option, options_of

# What a command needs is imported when it is called, so that --help answers at once.
if TYPE_CHECKING:
    from marsbench.core.session import Session
    from marsbench.formats.fallback import Fallback
    from marsbench.formats.gathering import Wanted
    from marsbench.formats.reading import Contents

T = TypeVar("T")

AUTO = "auto"
"""The command that is meant where none is named: `import FILES`."""


class _Recognising(TyperGroup):
    """`import FILES` is `import auto FILES`, unless the first word names a format."""

    def parse_args(self, context: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in context.help_option_names:
            args = [AUTO, *args]
        return super().parse_args(context, args)


app = typer.Typer(
    cls=_Recognising,
    no_args_is_help=True,
    subcommand_metavar="[FORMAT] FILES... -o WORKLOAD",
    help="Turn recordings into a workload. Without a FORMAT each file's is recognised.",
)

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
IMPORT_RATE = 0.01


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
    limit: Annotated[
        int | None, Option("N", "The first N sessions; nothing behind them is read.", least=1)
    ] = None
    sample: Annotated[int | None, Option("N", "N of all sessions, drawn by the seed.", least=1)] = (
        None
    )
    strict: Annotated[
        bool, Option(None, "Refuse a recording with anything amiss.", names=("--strict",))
    ] = False
    private: Annotated[
        bool, Option(None, "Write no name, path or text (default).", names=("--private",))
    ] = False
    keep_names: Annotated[
        bool, Option(None, "Keep the names of sessions and tools.", names=("--keep-names",))
    ] = False

    @property
    def knobs(self) -> Knobs:
        """Raises UsageError for what cannot be."""
        return Knobs(rate=self.rate, load=self.load, arrivals=self.arrivals, seed=self.seed)

    def check(self) -> None:
        """Refuse what cannot be, before the work and not after. Raises UsageError."""
        from marsbench.core.workload.files import require_writable
        from marsbench.errors import UsageError
        from marsbench.formats.arrivals import schedule_of

        require_writable(self.output)
        schedule_of(self.knobs, IMPORT_RATE)
        if self.private and self.keep_names:
            raise UsageError("--private writes no names and --keep-names does; give one of them.")
        if self.limit is not None and self.sample is not None:
            raise UsageError("--limit takes the first and --sample some of all; give one of them.")

    @property
    def fallback(self) -> Fallback:
        """What stands in where a recording is silent. Raises UsageError for what cannot be."""
        from marsbench.formats.fallback import fallback_of

        return fallback_of(self.tokenizer, self.tool_time, self.limit)

    @property
    def wanted(self) -> Wanted:
        """How many of the sessions, and which."""
        from marsbench.formats.gathering import Wanted

        return Wanted(self.limit, self.sample, 1 if self.seed is None else self.seed)


class Imported(NamedTuple):
    """What is to be read, and what the workload says of where it comes from.

    kind: the workload's name. recorded: whether sessions arrive as they did, unless told otherwise.
    own: the sessions are those of a workload of ours, which keep their names.
    """

    kind: str
    contents: Iterable[Contents]
    recorded: bool = False
    meta: Mapping[str, object] = MappingProxyType({})
    label: str = "reading sessions"
    own: bool = False


Reader = Callable[..., Imported]
"""Reads a source, its first parameter, with `options`; its text is the command's help."""

EVERYWHERE = (
    "output", "rate", "load", "arrivals", "seed", "max_tokens",
    "limit", "sample", "strict", "private", "keep_names",
)  # fmt: skip
STATED = ("tokenizer", "tool_time")

Files = Annotated[
    list[Path], typer.Argument(help="Files, folders or patterns; packed with gzip or zstd or not.")
]


def _command(*takes: str, name: str | None = None) -> Callable[[Reader], Reader]:
    """Makes a command of a reader that takes these of the options."""

    def made(read: Reader) -> Reader:
        @functools.wraps(read)
        def command(options: ImportOptions, **source: object) -> None:
            from marsbench.cli.importing import write_import

            options.check()
            write_import(read(options=options, **source), options)

        app.command(name)(verb(command, options_of(ImportOptions).keys() - takes))
        return read

    return made


def _named(name: str, paths: Sequence[Path], options: ImportOptions, label: str) -> Imported:
    """These files, read as the format that was named."""
    from marsbench.formats.table import contents_of, files_of, format_named

    kind = format_named(name)
    found = files_of(paths, kind)
    contents = (contents_of(one, options.fallback) for one in found)
    return Imported(name, contents, kind.has_arrivals, label=label)


@_command(*EVERYWHERE, *STATED, name=AUTO)
def recognise(files: Files, options: ImportOptions) -> Imported:
    """Import recordings of whatever format, recognised by what is in each file.

    What each was taken for, and why, is said on stderr. Exit code 1 when a file or row was left
    out (the others are written), 2 when all were.
    """
    from marsbench.cli.importing import recognised_files

    return recognised_files(files, options)


@_command(*EVERYWHERE)
def weka(files: Files, options: ImportOptions) -> Imported:
    """Import anonymised Claude Code traces (kv-cache-tester).

    Exit code 1 when a file was left out (the others are written), 2 when all were. The traces
    have no start times: sessions arrive poisson at 0.01 per second unless told otherwise.
    """
    return _named("weka", files, options, "reading traces")


@_command(*EVERYWHERE, *STATED)
def openhands(
    paths: Annotated[
        list[Path],
        typer.Argument(help="V1 conversations or folders of them; output.jsonl of V0 or V1."),
    ],
    options: ImportOptions,
) -> Imported:
    """Import OpenHands trajectories: conversations' folders and evaluations' histories.

    Lengths are the recorded token usage, tool times the recorded time stamps. Sessions arrive
    poisson at 0.01 per second unless told otherwise.
    """
    return _named("openhands", paths, options, "reading trajectories")


@_command(*EVERYWHERE, *STATED)
def sweagent(files: Files, options: ImportOptions) -> Imported:
    """Import SWE-agent trajectories (.traj).

    They have no token usage a call, so --tokenizer is needed; without execution_time, --tool-time
    is too. Sessions arrive poisson at 0.01 per second unless told otherwise.
    """
    return _named("sweagent", files, options, "reading trajectories")


@_command(*EVERYWHERE, *STATED)
def miniswe(files: Files, options: ImportOptions) -> Imported:
    """Import mini-swe-agent trajectories (.traj.json).

    Early versions recorded neither usage nor times: --tokenizer and --tool-time state them.
    Sessions arrive poisson at 0.01 per second unless told otherwise.
    """
    return _named("miniswe", files, options, "reading trajectories")


@_command(*EVERYWHERE, "tool_time")
def mooncake(files: Files, options: ImportOptions) -> Imported:
    """Import Mooncake traces: plain, of several turns (AIPerf) or agentic (Dynamo).

    Sessions arrive as recorded unless told otherwise; --rate alone stretches the recorded
    pattern to that mean rate. Equal first blocks (hash_ids) become prefix groups.
    """
    return _named("mooncake", files, options, "reading requests")


@_command(*EVERYWHERE, "workload")
def azure(files: Files, options: ImportOptions) -> Imported:
    """Import the arrivals of Azure's LLM inference traces.

    With --workload its sessions arrive as the trace's first requests did; without, each request
    is a session of one round. --rate stretches the pattern to that mean rate.
    """
    if options.workload is None:
        return _named("azure", files, options, "reading requests")
    from marsbench.cli.importing import given_arrivals

    return given_arrivals(options.workload, files)


@_command(*EVERYWHERE, *STATED, "split", "sessions")
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
    from marsbench.formats.hf import contents_of_table

    contents = contents_of_table(name, options.fallback, options.split, options.sessions)
    return Imported("hf", (contents,), label="reading rows")


@_command(*EVERYWHERE)
def run(
    folder: Annotated[Path, typer.Argument(help="The folder of a run, of any engine.")],
    options: ImportOptions,
) -> Imported:
    """Import the sessions of a run that marsbench recorded, as they were played.

    Prompts, outputs, tool times and arrivals are those of the run; --rate alone stretches its
    arrivals to that mean rate. Which tokens sessions shared is not in a run's events.
    """
    from marsbench.formats.recorded_run import contents_of_run, meta_of
    from marsbench.runs import RunFolder

    recorded = RunFolder.open(folder)
    return Imported("run", (contents_of_run(recorded),), True, meta_of(recorded))


_ARRIVE = "Sessions arrive as recorded unless told otherwise; --rate alone stretches the pattern."

LOGS = {
    "claude-code": """Import session logs of Claude Code (~/.claude/projects).

    Sub-agents come in with the session that started them. """
    + _ARRIVE,
    "codex": """Import rollouts of Codex (~/.codex/sessions).

    What a fork or a sub-agent repeats of another session is left out. """
    + _ARRIVE,
    "otel": """Import OpenTelemetry spans of generative AI (OTLP in JSON).

    A session is a conversation (gen_ai.conversation.id), or else a trace. """
    + _ARRIVE,
    "langfuse": """Import observations of Langfuse, as it exports them.

    A session is one of Langfuse's, or else a trace. """
    + _ARRIVE,
    "atif": """Import trajectories in ATIF 1.x (Harbor's).

    They have no tool times, so --tool-time is needed. Sessions arrive poisson at 0.01 per second
    unless told otherwise.""",
    "sharegpt": """Import conversations as ShareGPT's (from, value).

    Texts alone: --tokenizer and --tool-time (a user's pause) are needed. Sessions arrive poisson
    at 0.01 per second unless told otherwise.""",
    "tau-bench": """Import runs of tau-bench.

    Texts alone: --tokenizer and --tool-time are needed. Sessions arrive poisson at 0.01 per second
    unless told otherwise.""",
    "dynamo-trace": """Import request traces of Dynamo (DYN_REQUEST_TRACE).

    A session is a trajectory. """
    + _ARRIVE,
    "gemini-cli": """Import chats of Gemini CLI (~/.gemini/tmp/*/chats).

    """
    + _ARRIVE,
}
"""Formats whose command takes files and what all take, and its help."""


def _add_log(name: str, text: str) -> None:
    def read(files: Files, options: ImportOptions) -> Imported:
        return _named(name, files, options, "reading sessions")

    read.__doc__ = text
    _command(*EVERYWHERE, *STATED, name=name)(read)


for _name, _text in LOGS.items():
    _add_log(_name, _text)


def mean_gpu_s(sessions: Sequence[Session]) -> float:
    """Mean seconds that these sessions keep the default engine busy, each alone on it."""
    from marsbench.core.hardware.profile import load_hardware
    from marsbench.core.isolated import cache_folder, isolated
    from marsbench.core.settings import EngineSettings

    return isolated(sessions, load_hardware(), EngineSettings(), cache=cache_folder()).mean_gpu_s


def progress(label: str) -> Callable[[Iterable[T]], Iterable[T]]:
    """A progress bar on stderr, where a person sees it."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    quiet = not console.is_terminal

    def shown(items: Iterable[T]) -> Iterable[T]:
        return track(items, label, console=console, transient=True, disable=quiet)

    return shown
