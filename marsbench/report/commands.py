"""What to type to get the runs and the figures again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from marsbench.judge.compare.values import RunSource
from marsbench.report.material import Material
from marsbench.runs.summary import CAP_SEARCH, SCHEDULER_CLS
from marsbench.text.options import Words, as_set, options_in

WIDTH = 56
"""Characters of a line of commands: what a column of the PDF holds."""
SETTINGS = {
    "block_size": "--block-size",
    "max_num_batched_tokens": "--step-budget",
    "max_num_seqs": "--max-seqs",
    "memory_fraction": "--memory-fraction",
    "tool_cores": "--tool-cores",
    "tool_workers": "--tool-workers",
}
HARDWARE = ("gpu", "model", "precision", "kv_dtype")
WORKLOAD = ("arrivals", "tools", "prefixes", "tenants")


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
    options = (*_options(source), ("-o", shown(Path(source.path))))
    return tuple(_folded("marsbench run", [shlex.join(words) for words in options]))


def _options(source: RunSource) -> Iterator[Words]:
    """The options, each with its value: as typed, else as the run's own settings tell them.

    A run that a sweep made, or an earlier marsbench, did not keep what was typed: a hardware
    profile of one's own or a scaled step time is then not among them.
    """
    if source.asked:
        yield from options_in(source.asked)
        return
    for name, value in _settings(source).items():
        if value is not None:
            yield name, as_set(value)
    for alpha in source.alphas:
        yield "--alpha", f"{alpha:g}"
    for name, value in source.params.items():
        if CAP_SEARCH not in source.settings or name != "cap":
            yield "--set", f"{name}={as_set(value)}"


def _settings(source: RunSource) -> Mapping[str, Any]:
    """What is told once, by option; None where the run does not say."""
    meta, settings = source.workload_meta, source.settings
    # A rate that follows from a load was computed: the load is what was chosen.
    traffic = "load" if meta.get("load") is not None else "rate"
    reserve = settings.get("reserve_full_prompt")
    own_blocks = settings.get("kv_blocks_of") == "option"
    own_class = settings.get(SCHEDULER_CLS)
    return {
        "--vllm": vllm_typed(source.vllm),
        "--backend": source.name if own_class is None else None,
        "--scheduler-cls": own_class,
        "--workload": source.place.workload,
        "--sessions": source.sessions,
        "--seed": source.seed,
        **{f"--{name}": meta.get(name) for name in (traffic, *WORKLOAD)},
        **{f"--{name.replace('_', '-')}": source.hardware.get(name) for name in HARDWARE},
        "--tp": group if (group := source.hardware.get("tensor_parallel", 1)) > 1 else None,
        **{option: settings.get(key) for key, option in SETTINGS.items()},
        "--kv-blocks": settings.get("kv_blocks") if own_blocks else None,
        "--reserve-full-prompt": None if reserve is None else ("on" if reserve else "off"),
    }


def vllm_typed(label: str | None) -> str | None:
    """For --vllm: a release by name; a checkout, or a commit of one, wherever its reader has it."""
    if label is None or (label[:1].isdigit() and "." in label and "," not in label):
        return label
    return "PATH" if "sources" in label else f"PATH@{label}"


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
    runs = shlex.join(shown(path) for path in material.folders)
    options = "".join(f" {shlex.quote(part)}" for part in material.options.words)
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
