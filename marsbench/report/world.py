"""What was tried, in words for one who runs no benchmarks: tasks, pauses, load, machine, seeds."""

from __future__ import annotations

from collections.abc import Iterator

from marsbench.report.material import Material
from marsbench.text.numbers import count, span
from marsbench.text.words import few, listed

PAUSES = {
    "autonomous": "the tool calls of agents that work alone, most of them under a second",
    "interactive": "tool calls, and people who answer after minutes",
    "recorded": "the gaps of the recordings, with people's approvals in them",
    "recorded-10s": "the gaps of the recordings, none longer than 10 s",
    "cpu-heavy": "tool calls that keep processors busy",
    "contended": "tool calls that want more processors than there are",
    "human": "people who read and type",
}
"""What a mix of tools stands for (docs/workloads.md)."""
MOST = 3
"""Workloads that are told; a table further on has them all."""


def world(material: Material) -> str:
    """Workload, pauses, load, model, hardware, sessions and seeds, in sentences."""
    sources = material.comparison.sources
    number = span([source.sessions for source in sources], lambda sessions: f"{sessions:,.0f}")
    sentences = [
        "Tasks of coding agents, called sessions: an agent asks the model, pauses while a tool or "
        "a person answers, and asks again with all that was said before.",
        *_workloads(material),
        f"They ran on {_machine(material)}.",
        f"{number} sessions a run, {_again(material)}, the same ones under each of "
        f"{count(len(material.contenders), 'scheduler')}.",
    ]
    return " ".join(sentences)


def _workloads(material: Material) -> Iterator[str]:
    """Of the first ones what they are made of; then what is true of all."""
    metas = {s.place.workload: s.workload_meta for s in material.comparison.sources}
    made: dict[str, list[str]] = {}
    for name, meta in [*metas.items()][:MOST]:
        made.setdefault(_made(meta.get("source")), []).append(f"`{name}`{_loads(material, name)}")
    for source, names in made.items():
        yield f"{listed(names)}: {source}."
    if len(metas) > MOST:
        yield f"{count(len(metas) - MOST, 'more workload')} stand under “What was run”."
    if any(place.load is not None for place in material.matrix.places):
        yield "Load 1 keeps a GPU busy that takes one session at a time; together they need less."
    yield f"Pauses are {_pauses({str(m['tools']) for m in metas.values() if m.get('tools')})}."


def _made(source: object) -> str:
    """Behind the bracket of a source stand a revision and counts, which are provenance."""
    return f"sessions like those of {str(source).partition(' (')[0]}" if source else "as recorded"


def _pauses(mixes: set[str]) -> str:
    told = [PAUSES.get(mix, f"those of the mix `{mix}`") for mix in sorted(mixes)]
    return "; or ".join(told) or "those that were recorded"


def _loads(material: Material, workload: str) -> str:
    """ " (at load 0.5 and 1)"; or the rate, where that was given."""
    places = [place for place in material.matrix.places if place.workload == workload]
    loads = sorted({place.load for place in places if place.load is not None})
    rates = sorted({place.rate for place in places if place.load is None and place.rate})
    told = [f"load {few([f'{load:g}' for load in loads])}"] if loads else []
    told += [f"{few([f'{rate:.3g}' for rate in rates])} sessions a second"] if rates else []
    return f" (at {' and '.join(told)})" if told else ""


def _machine(material: Material) -> str:
    sources = material.comparison.sources
    models = sorted({source.place.model for source in sources if source.place.model})
    gpus = sorted({str(s.hardware["gpu"]) for s in sources if s.hardware.get("gpu")})
    on = f"{listed(models) or 'a model'} on {listed(gpus) or 'a GPU'}"
    engines = sorted({source.engine for source in sources})
    if engines == ["sim"]:
        return f"{on}, as a simulator plays it: vLLM's real scheduler, and no GPU"
    return f"{on}, played by {listed(engines)}"


def _again(material: Material) -> str:
    seeds = sorted({s.seed for s in material.comparison.sources if s.seed is not None})
    told = f"seed{'s' * (len(seeds) > 1)} {few([str(seed) for seed in seeds])}"
    if len(seeds) < 2:
        return f"once ({told})" if seeds else "once"
    return f"{len(seeds)} times over with other sessions each time ({told})"
