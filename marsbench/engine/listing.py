"""`marsbench backends`: what is installed, from which paper, with which parameters."""

from __future__ import annotations

import json
import sys

from rich import box
from rich.console import Console
from rich.table import Table

from marsbench.engine.backends import choose
from marsbench_backends import registry
from marsbench_backends.registry import Backend


def show_backends(name: str | None, as_json: bool) -> None:
    """Print all backends, or one with its whole header. Raises UsageError for an unknown one."""
    found = [choose(n).backend for n in ([name] if name else registry.installed())]
    if as_json:
        records = [_record(backend) for backend in found]
        sys.stdout.write(json.dumps(records[0] if name else records, ensure_ascii=False) + "\n")
    elif name:
        _one(found[0])
    else:
        _all(found)


def _record(backend: Backend) -> dict[str, object]:
    return {
        "name": backend.name,
        "about": backend.about,
        "parameters": [
            {"name": p.name, "type": p.kind, "default": p.default} for p in backend.parameters
        ],
    }


def _all(found: list[Backend]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("backend", "what it is", "parameters (--set NAME.PARAMETER=VALUE)"):
        table.add_column(heading, overflow="fold")
    for backend in found:
        params = ", ".join(f"{p.name}={p.default}" for p in backend.parameters) or "none"
        table.add_row(backend.name, backend.about.partition("\n\n")[0].replace("\n", " "), params)
    Console().print(table)


def _one(backend: Backend) -> None:
    console = Console()
    console.print(f"[bold]{backend.name}[/bold]\n", highlight=False)
    console.print(backend.about, markup=False, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("parameter", "type", "default"):
        table.add_column(heading)
    for p in backend.parameters:
        table.add_row(p.name, p.kind, str(p.default))
    console.print(table)
