"""`marsbench backends`: what is installed, from which paper, with which parameters."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape

from marsbench.core.backends import choose
from marsbench.errors import UsageError
from marsbench.text.console import console, drawn
from marsbench.text.options import as_set
from marsbench.text.tables import Styled, Table
from marsbench_backends import registry
from marsbench_backends.parameters import Parameter
from marsbench_backends.registry import Backend

# Headers of policies say "Paper: …", "No paper: …" or "Source: …", to the end of the clause.
_PAPER = re.compile(r"\b(?:[Pp]aper|Source): (.+?)(?=[;:] |\. [^a-z0-9]|\.?$)")
_LABEL = re.compile(r"- |[A-Z][a-z ]+: ")


def show_backends(name: str | None, as_json: bool) -> None:
    """Print all backends, or one with its whole header. Raises UsageError for an unknown one."""
    found = [choose(name).backend] if name else list(_installed())
    if as_json:
        records = [_record(backend) for backend in found]
        text = json.dumps(records[0] if name else records, ensure_ascii=False, default=str)
        sys.stdout.write(text + "\n")
    elif name:
        _one(found[0], console())
    else:
        _all(found, console())


def _installed() -> Iterator[Backend]:
    """Every backend that loads; a broken one of a third party is said and left out."""
    for name in registry.installed():
        try:
            yield choose(name).backend
        except UsageError as error:
            sys.stderr.write(f"left out: {error}\n")


def paper(about: str) -> str | None:
    """The source that a policy's header names."""
    found = _PAPER.search(" ".join(about.split()))
    return found[1] if found else None


def idea(about: str) -> str:
    """The header's first sentence."""
    return " ".join(about.partition("\n\n")[0].split())


def _record(backend: Backend) -> dict[str, object]:
    return {
        "name": backend.name,
        "idea": idea(backend.about),
        "paper": paper(backend.about),
        "about": backend.about,
        "parameters": [
            {"name": p.name, "type": p.kind, "default": p.default, **_reading(p)}
            for p in backend.parameters
        ],
    }


def _reading(parameter: Parameter) -> dict[str, object]:
    """Other values than the default, and why, where a paper may be read otherwise."""
    return {} if parameter.reading is None else {"reading": asdict(parameter.reading)}


def _all(found: list[Backend], console: Console) -> None:
    rows = [(Styled(one.name, "bold"), "\n".join([*_lines(one), ""])) for one in found]
    console.print(drawn(Table((), rows, "Ll")))
    console.print("Parameters: --set NAME.PARAMETER=VALUE. More of one: marsbench backends NAME.")


def _lines(backend: Backend) -> Iterator[str]:
    yield idea(backend.about)
    source = paper(backend.about)
    if source:
        yield f"Source: {source}"
    if backend.parameters:
        yield f"Parameters: {' '.join(f'{p.name}={_default(p)}' for p in backend.parameters)}"


def _default(parameter: Parameter) -> str:
    """As one would type it."""
    return as_set(parameter.default) or "()"


def _one(backend: Backend, console: Console) -> None:
    console.print(f"[bold]{escape(backend.name)}[/bold]\n", highlight=False)
    console.print(_flowing(backend.about), markup=False, highlight=False)
    if not backend.parameters:
        return
    rows = [(p.name, p.kind, _default(p)) for p in backend.parameters]
    console.print(drawn(Table(("parameter", "type", "default"), rows, "l"), gap=2))
    readings = list(_readings(backend))
    if readings:
        console.print("Where a paper may be read otherwise, and the range that is tried:")
        console.print(drawn(Table(("parameter", "is", "range"), readings, "l"), gap=2))


def _readings(backend: Backend) -> Iterator[tuple[str, str, str]]:
    for parameter in backend.parameters:
        if (reading := parameter.reading) is not None:
            values = (as_set(v) or "()" for v in (parameter.default, *reading.others))
            source = "silent in the paper; ours" if reading.silent else "published; varied"
            yield parameter.name, f"{source}: {reading.why}", " | ".join(values)


def _flowing(about: str) -> str:
    """The header with its lines joined, so that the terminal breaks them, not the source."""
    return "\n\n".join(_joined(part) for part in re.split(r"\n\s*\n", about.strip()))


def _joined(paragraph: str) -> str:
    text = ""
    for line in (line.strip() for line in paragraph.splitlines()):
        text += ("\n" if _LABEL.match(line) else " ") + line
    return text.strip()
