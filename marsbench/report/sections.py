"""Which figures and tables a report has, in which order, and what stands beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from marsbench.report import host_kv, paper, steady, tables
from marsbench.report.canvas import our_style
from marsbench.report.chapters import CHAPTERS
from marsbench.report.commands import figure_command, run_commands
from marsbench.report.document import Block, Commands, Document, Plate, Points, Section, Text
from marsbench.report.figures import FIGURES
from marsbench.report.first_page import first_page
from marsbench.report.material import Absent, Material
from marsbench.report.standing import choices
from marsbench.report.summary import summary
from marsbench.text.numbers import count
from marsbench.text.words import each, listed

Step = Callable[[str], None]
"""Told of each part that is begun."""


def plates(material: Material, name: str) -> list[Plate]:
    """A figure's drawings, one a sheet. Raises Absent."""
    with our_style():
        drawings = list(FIGURES[name](material))
    names = [name, *(f"{name}-{number}" for number in range(2, len(drawings) + 1))]
    return [
        Plate(own, drawing, figure_command(material, name))
        for own, drawing in zip(names, drawings, strict=True)
    ]


def document(material: Material, title: str | None, step: Step) -> Document:
    """The whole report."""
    return Document(
        title=title or _title(material),
        byline=_byline(material),
        sections=tuple(_sections(material, step)),
    )


def _title(material: Material) -> str:
    names = sorted({source.place.workload for source in material.comparison.sources})
    return f"Schedulers under coding agents: {listed(names)}"


def _byline(material: Material) -> str:
    sources = material.comparison.sources
    made = [str(sweep.plan()["name"]) for sweep in material.sweeps]
    of = f" of {listed(made)}" if made else ""
    code = listed(each([source.code for source in sources]), most=3)
    return f"{count(len(sources), 'run')}{of} · code {code} · written by `marsbench report`"


def _sections(material: Material, step: Step) -> Iterator[Section]:
    step("summary")
    yield Section("first-page", "On one page", tuple(first_page(material)), alone=True)
    yield Section("summary", "Summary", tuple(summary(material)))
    yield Section("cautions", "Cautions", (Points(tables.cautions(material)),))
    yield Section("setup", "What was run", tuple(_setup(material)))
    absent: dict[str, list[str]] = {}
    for id_, chapter in CHAPTERS.items():
        step(chapter.title)
        blocks = [*_figures(material, chapter.figures, absent), *_beside(material, id_)]
        found = list(paper.findings(material, chapter.claims))
        if blocks or found:
            # Text can be broken between pages, and figures cannot: it fills what they leave.
            yield Section(id_, chapter.title, (Text(chapter.text), *blocks, *found))
    yield from _others(material)
    yield from paper.verdicts(material)
    if absent:
        yield Section("absent", "Not shown", (Points(tuple(_absent(absent))),))
    step("tables")
    every = tuple(
        part for regime in material.regimes for part in tables.every_figure(material, regime)
    )
    yield Section("figures", "All numbers", every, appendix=True)


def _setup(material: Material) -> Iterator[Block]:
    yield Text("All runs are made by these commands; a sweep that was stopped goes on by itself.")
    yield Commands(run_commands(material))
    yield tables.setup(material)
    yield tables.backends(material)


def _figures(
    material: Material, names: Sequence[str], absent: dict[str, list[str]]
) -> Iterator[Block]:
    """A chapter's figures; those that these runs do not bear go into `absent`, by reason."""
    for name in names:
        try:
            yield from plates(material, name)
        except Absent as why:
            absent.setdefault(str(why), []).append(name)


def _absent(absent: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for why, names in absent.items():
        yield f"{listed([f'`{name}`' for name in names])}: {why}."


def _beside(material: Material, section: str) -> Iterator[Block]:
    """The table that goes with a section's figures."""
    if section == "load":
        yield from steady.beside_the_whole(material)
    if section == "parts" and material.ablations:
        yield from tables.decided(material)
    if section == "slowdown" and len(choices(material)) > 1:
        yield tables.winners(material, choices(material))
    if section == "fairness":
        yield from tables.fairness(material)
        yield from tables.tenants(material)


def _others(material: Material) -> Iterator[Section]:
    """What only some runs have."""
    comparison = material.comparison
    if any(comparison.held.values()):
        text = Text("The same backends where the runs differ in more than workload and load.")
        yield Section("held", "Whether the ranking holds", (text, tables.held(material)))
    offloaded = tuple(host_kv.tables(material))
    if offloaded:
        yield Section("host-kv", "KV in host memory", (Text(host_kv.TEXT), *offloaded))
    if comparison.capacities:
        text = Text("The highest rate at which enough sessions are served well, by bisection.")
        yield Section("capacity", "Capacity", (text, tables.capacities(material)))
