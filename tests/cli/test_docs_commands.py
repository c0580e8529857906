"""Every command that a document shows can be typed: the command line knows its verb and options.

Those of a moment are run too, in an empty folder; the others are parsed and go no further, for
they need what ONLY_PARSED says.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from cli.conftest import Marsbench
from cli.test_docs import BLOCKS, DOCUMENTS, ROOT
from marsbench.cli import main as cli

FENCED = re.compile(r"^```\w*\n((?:.*\n)*?)```$", re.MULTILINE)
INDENTED = re.compile(r"^    (?=\S)(.*)$", re.MULTILINE)
PROMPT = re.compile(r"^(?:\$ |\(cd \S+ && )?(?:\S*bin/)?marsbench (?P<rest>\S.*)$")
STANDS_FOR = {
    "openhands|sweagent|miniswe|weka|mooncake|azure|hf|run …": "openhands FILE",
    "mooncake|hf": "hf",
    "vllm-bench|llm-d|csv|perfetto|otel|mlflow": "csv",
}
"""How a line that shows several at once is typed."""

ONLY_PARSED = {
    "run": "plays a whole run; those with output are in test_docs.py",
    "show": "needs a run that the reader has",
    "compare": "needs runs that the reader has",
    "gate": "needs runs that the reader has",
    "report": "needs runs that the reader has",
    "export": "needs a run that the reader has",
    "sweep": "plays many runs",
    "capacity": "plays many runs",
    "advise": "needs recordings that the reader has",
    "vllm": "reads what the reader's cache holds, or downloads",
    "serve": "starts a server",
    "gateway": "starts a server",
    "replay": "starts a server, or records agents",
    "calibrate": "needs a GPU",
    "workload import": "needs recordings that the reader has",
    "bounds": "needs runs that the reader has",
    "why": "needs runs that the reader has",
    "explore": "needs runs that the reader has",
    "setup": "installs packages; test_setup.py has its parts",
    "doctor": "says what this machine has; test_doctor.py runs it",
}
IS_RUN = ("backends", "routers", "hardware list", "hardware show", "workload")


def lines(text: str) -> Iterator[str]:
    """The lines of all blocks, with what is continued put together."""
    blocks = [block[1] for block in FENCED.finditer(text)]
    blocks += INDENTED.findall(FENCED.sub("", text))
    for block in blocks:
        yield from re.sub(r"\s*\\\n\s*", " ", block).splitlines()


def commands(text: str) -> list[str]:
    """What comes after `marsbench` in each, without comments and what a shell does with it."""
    found = [match["rest"] for line in lines(text) if (match := PROMPT.match(line.strip()))]
    return [typed(rest) for rest in found]


def typed(rest: str) -> str:
    for shown, one in STANDS_FOR.items():
        rest = rest.replace(shown, one)
    rest = re.split(r"\s+#|\s+&$|\s*\|\||\)$", rest)[0]
    return rest.replace("…", "FILE").strip()


SHOWN = {
    f"{path.relative_to(ROOT)}: {command}": command
    for path in DOCUMENTS
    for command in commands(path.read_text(encoding="utf-8"))
}
CHEAP = {
    path: found
    for path in DOCUMENTS
    if (
        found := [
            command
            for command in commands(path.read_text(encoding="utf-8"))
            if command.startswith(IS_RUN) and not command.startswith(tuple(ONLY_PARSED))
        ]
    )
}


def parse(command: str) -> None:
    """As the command line would, and no further. Raises what it raises for a wrong command."""
    context = cli.command().make_context("marsbench", shlex.split(command))
    group, arguments = context.command, [*context._protected_args, *context.args]
    while hasattr(group, "commands"):
        name, group, arguments = group.resolve_command(context, arguments)
        context = group.make_context(name, arguments, parent=context)
        arguments = [*getattr(context, "_protected_args", ()), *context.args]


@pytest.mark.parametrize("name", SHOWN)
def test_a_command_that_is_shown_can_be_typed(name: str) -> None:
    parse(SHOWN[name])


@pytest.mark.parametrize(
    "wrong",
    ["rnu", "vllm", "run --backend fcfs --alfa 3", "workload mkae", "gate one two three"],
)
def test_a_command_that_cannot_be_typed_is_found(wrong: str) -> None:
    with pytest.raises(typer.TyperException):
        parse(wrong)


def test_the_commands_of_every_form_are_found() -> None:
    shown = "    marsbench backends\n\n```\n$ marsbench run \\\n  --backend x  # why\n```\n"
    shown += (
        "```yaml\n(cd a && .venv/bin/marsbench sweep x.toml)\n```\nA marsbench is no command.\n"
    )
    assert commands(shown) == ["run --backend x", "sweep x.toml", "backends"]
    assert len(SHOWN) > 50


def test_each_is_run_or_there_is_a_reason_why_not() -> None:
    verbs = {command: command.startswith((*IS_RUN, *ONLY_PARSED)) for command in SHOWN.values()}
    assert [command for command, known in verbs.items() if not known] == []


@pytest.mark.parametrize("path", CHEAP, ids=lambda path: path.name)
def test_what_takes_a_moment_is_run_in_the_order_that_is_shown(
    path: Path, marsbench: Marsbench
) -> None:
    """A document's commands one after another: a later one reads what an earlier one wrote."""
    skipped = {command for of, command in BLOCKS.values() if of == path}
    for command in CHEAP[path]:
        if command in skipped or missing_input(command):
            continue
        done = marsbench(*shlex.split(command))
        assert done.code == 0, f"{command}: {done.err}"


def missing_input(command: str) -> bool:
    """Whether it reads a file that an import, which is not run, would have written."""
    words = shlex.split(command)
    reads = words[:2] in (["workload", "export"], ["workload", "show"])
    return reads and words[2].endswith(".jsonl") and not Path(words[2]).exists()
