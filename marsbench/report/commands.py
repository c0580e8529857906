"""What to type to get the runs and the figures again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from marsbench.judge.compare.values import RunSource
from marsbench.report.argv import options_of
from marsbench.report.material import Material

WIDTH = 56
"""Characters of a line of commands: what a column of the PDF holds."""


def run_commands(material: Material) -> tuple[str, ...]:
    """How all runs are made: a command a sweep, or a run, as lines that can be pasted."""
    sweeps = tuple(_sweep(sweep.plan()["name"], sweep.path) for sweep in material.sweeps)
    return (*sweeps, *(line for source in _single(material) for line in run_command(source)))


def _single(material: Material) -> list[RunSource]:
    """The runs that are of none of the sweeps."""
    folders = {sweep.path.resolve() for sweep in material.sweeps}
    sources = material.comparison.sources
    return [s for s in sources if Path(s.path).resolve().parent not in folders]


def run_command(source: RunSource) -> tuple[str, ...]:
    """The command of one run, on lines that end between options."""
    options = (*options_of(source), ("-o", shown(Path(source.path))))
    return tuple(_folded("marsbench run", [shlex.join(words) for words in options]))


def _folded(line: str, parts: Sequence[str]) -> Iterator[str]:
    """The parts on lines of WIDTH at most, joined as a shell joins them."""
    for part in parts:
        if len(line) + len(part) + len(" \\ ") > WIDTH and line.strip():
            yield f"{line} \\"
            line = f"  {part}"
        else:
            line = f"{line} {part}"
    yield line


def figure_command(material: Material, name: str) -> str:
    """How one figure is made from the runs."""
    runs = shlex.join(shown(path) for path in material.given)
    options = "".join(f" {shlex.quote(part)}" for part in material.asked.options)
    return f"marsbench report {runs}{options} --figure {name} -o {name}.svg"


def shown(path: Path) -> str:
    """A path as others can type it: relative to here; of one that lies elsewhere, its name."""
    relative = os.path.relpath(path)
    return path.name if relative.startswith("..") else relative


def _sweep(name: str, path: Path) -> str:
    """By name where it is one of ours, else by its file, of which sweep.json keeps the text."""
    from marsbench.judge.sweep.spec import sweep_names

    file = name if name in sweep_names() else f"{name}.toml"
    out = "" if shown(path) == f"results/{name}" else f" -o {shlex.quote(shown(path))}"
    return f"marsbench sweep {shlex.quote(file)}{out}"
