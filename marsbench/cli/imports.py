"""`marsbench workload import`: a command a format, and one that recognises it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from marsbench.cli.import_options import STATED, Imported, ImportOptions
from marsbench.cli.options import verb
from marsbench.option import options_of

# What a command needs is imported when it is called, so that --help answers at once.
if TYPE_CHECKING:
    pass

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

Reader = Callable[..., Imported]
"""Reads a source, its first parameter, with `options`; its text is the command's help."""

EVERYWHERE = (
    "output", "rate", "load", "arrivals", "seed", "max_tokens",
    "limit", "sample", "strict", "private", "keep_names",
)  # fmt: skip

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
    "aiperf": """Import AIPerf's inputs of texts: messages, text_input, payload or turns.

    They have no token counts: --tokenizer is needed, and --tool-time for lines without a delay.
    """
    + _ARRIVE,
    "tracelab": """Import TraceLab's traces of coding agents.

    A sub-agent is a session of its own. """
    + _ARRIVE,
    "burstgpt": """Import BurstGPT's traces.

    A conversation is a session, any other request one of one round. """
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
