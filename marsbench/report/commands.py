"""What to type to get the runs and the figures again."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from marsbench.compare.values import Source
from marsbench.report.material import Material

FEW_RUNS = 3
"""Single runs whose commands are told one by one."""


def run_commands(material: Material) -> tuple[str, ...]:
    """How the runs are made: a line a sweep, or a run."""
    sweeps = tuple(_sweep(sweep.plan()["name"], sweep.path) for sweep in material.sweeps)
    folders = {sweep.path.resolve() for sweep in material.sweeps}
    single = [
        s for s in material.comparison.sources if Path(s.path).resolve().parent not in folders
    ]
    if len(single) > FEW_RUNS:
        return (*sweeps, f"marsbench run …  # {len(single)} runs: run.json has the inputs of each")
    return (*sweeps, *map(_run, single))


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
    from marsbench.sweep.spec import sweep_names

    file = name if name in sweep_names() else f"{name}.toml"
    out = "" if shown(path) == f"results/{name}" else f" -o {shlex.quote(shown(path))}"
    return f"marsbench sweep {shlex.quote(file)}{out}"


def _run(source: Source) -> str:
    meta, settings = source.workload_meta, source.settings
    traffic = ("load", "rate") if source.place.load is None else ("load",)
    given = {
        "backend": source.name,
        "workload": source.place.workload,
        "sessions": source.sessions,
        "seed": source.seed,
        **{name: meta.get(name) for name in traffic},
        "gpu": source.hardware.get("gpu"),
        "model": source.hardware.get("model"),
        "block-size": settings.get("block_size"),
    }
    options = [f"--{name} {value}" for name, value in given.items() if value is not None]
    return f"marsbench run {' '.join(options)} -o {shlex.quote(shown(Path(source.path)))}"
