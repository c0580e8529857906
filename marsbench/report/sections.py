"""Which figures and tables a report has, in which order, and what stands beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from marsbench.report import tables
from marsbench.report.canvas import our_style
from marsbench.report.commands import figure_command, run_commands
from marsbench.report.document import Block, Code, Document, Plate, Points, Section, Text
from marsbench.report.figures import FIGURES
from marsbench.report.material import Absent, Material
from marsbench.report.words import count, each, listed
from marsbench.reproduce.claims import CLAIMS, OURS
from marsbench.reproduce.systems import MARS
from marsbench.reproduce.tables import reasons, thresholds
from marsbench.reproduce.verdicts import NOTHING, Finding

Step = Callable[[str], None]
"""Told of each part that is begun."""


def plates(material: Material, name: str) -> list[Plate]:
    """A figure's drawings, one a sheet. Raises Absent."""
    with our_style():
        drawings = list(FIGURES[name](material))
    commands = (*run_commands(material), figure_command(material, name))
    names = [name, *(f"{name}-{number}" for number in range(2, len(drawings) + 1))]
    return [Plate(own, drawing, commands) for own, drawing in zip(names, drawings, strict=True)]


def document(material: Material, title: str | None, step: Step) -> Document:
    """The whole report."""
    return Document(
        title=title or _title(material),
        byline=_byline(material),
        abstract=_abstract(material),
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


def _abstract(material: Material) -> str:
    comparison = material.comparison
    text = (
        f"{count(len(comparison.backends), 'backend')} on the same sessions at "
        f"{count(len(comparison.places), 'place')} (a workload at a load on one hardware and "
        "engine). A session is one agent task: rounds of the model with tool calls between them. "
        "Latency is from its arrival to its end; slowdown is latency over that of the same session "
        "alone; goodput(α) is the share of arrived sessions with a slowdown of at most α."
    )
    if MARS not in comparison.backends:
        return text
    found = [claim.found(material.matrix).verdict for claim in CLAIMS if claim.paper != OURS]
    verdicts = [verdict for verdict in found if verdict != "ours alone"]
    told = [
        f"{verdicts.count(verdict)} {verdict}"
        for verdict in ("reached", "partly", "not reached", "not exercised", "not measured")
        if verdict in verdicts
    ]
    return f"{text} Of {len(verdicts)} numbers that the MARS paper reports: {listed(told)}."


MISSED = ("partly", "not reached", "not exercised")
"""Verdicts that want a reason."""
PUBLISHED = "Side by side with the published numbers"


def _sections(material: Material, step: Step) -> Iterator[Section]:
    yield Section("setup", "Setup and provenance", tuple(_setup(material)))
    for id_, (title, text, figures, claims) in CHAPTERS.items():
        step(title)
        blocks = [Text(text), *_findings(material, claims), *_figures(material, figures)]
        yield Section(id_, title, (*blocks, *_beside(material, id_)))
    yield from _others(material)
    yield Section("cautions", "Cautions", (Points(tables.cautions(material)),))
    step("tables")
    every = tuple(tables.every_figure(material, regime) for regime in material.regimes)
    yield Section("figures", "All numbers", every, appendix=True)


def _setup(material: Material) -> Iterator[Block]:
    yield Text("All runs are made by these commands; a sweep that was stopped goes on by itself.")
    yield Code(run_commands(material))
    yield tables.setup(material)
    yield tables.backends(material)


CHAPTERS: dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]] = {
    "load": (
        "Latency and goodput against load",
        "Latency of sessions that finished, and the share of all that arrived which was served "
        "well, from the lightest load to beyond what the engine can serve.",
        ("latency",),
        ("headline", "points", "fcfs", "tails-p90", "tails-p95", "gpt-oss", "control", "bound"),
    ),
    "collapse": (
        "Goodput at constant throughput",
        "An engine that evicts what it needs again computes as many tokens as before, or more. "
        "Throughput alone does not show whether a session ever ends.",
        ("collapse",),
        ("collapse", "output", "computed"),
    ),
    "slowdown": (
        "Goodput against α, and the distribution of slowdown",
        "α is the reader's choice: the whole curve shows whether a ranking depends on it, and the "
        "distribution what the sessions pay that are beyond any α.",
        ("goodput-alpha", "slowdown-cdf"),
        (),
    ),
    "rounds": (
        "Time to first token by round",
        "A first round may wait for admission and finds no cache of its own; later ones wait "
        "longer when their context was evicted while a tool ran.",
        ("ttft-by-round",),
        tuple(
            f"ttft-{since}-{which}"
            for since in ("ready", "submit")
            for which in ("first", "continuation")
        ),
    ),
    "cache": (
        "Evictions, KV cache and tools over time",
        "Where contexts of paused sessions are evicted, they are computed again when their tools "
        "have ended.",
        ("evictions", "occupancy"),
        ("evictions", "evictions-peak", "burst"),
    ),
    "parts": (
        "Ablations",
        "Each part is switched off alone. One that decided nothing in the whole is not exercised: "
        "nothing is known of what it is worth.",
        ("ablations",),
        ("coordinator", "admission", "opportunistic", "shrinking", "retention"),
    ),
    "light": (
        "Light load",
        "Where nobody waits, a scheduler can only cost time.",
        ("light-load",),
        ("inversion",),
    ),
    "fairness": (
        "Fairness",
        "A mean can be bought by letting some sessions wait: long ones, or a few unlucky ones.",
        ("fairness",),
        (),
    ),
}
"""Sections with figures: title, introduction, figures, and the paper's claims that they bear on."""


def _findings(material: Material, claims: Sequence[str]) -> Iterator[Block]:
    """What the paper says of it and what came out."""
    if MARS not in material.comparison.backends or not claims:
        return
    found = [(claim, claim.found(material.matrix)) for claim in CLAIMS if claim.id in claims]
    items = [
        f"{_capital(claim.what)}. Paper: {claim.paper}. Here: {_here(finding)}."
        for claim, finding in found
        if finding != NOTHING
    ]
    if items:
        yield Points(tuple(items))


def _here(finding: Finding) -> str:
    """Our number; that there is no verdict on it is said where one would be expected."""
    unjudged = finding.verdict in ("not exercised", "not measured")
    return f"{finding.verdict} ({finding.ours})" if unjudged else finding.ours


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _figures(material: Material, names: Sequence[str]) -> Iterator[Block]:
    for name in names:
        try:
            yield from plates(material, name)
        except Absent as why:
            yield Text(f"The figure `{name}` is left out: {why}.")


def _beside(material: Material, section: str) -> Iterator[Block]:
    """The table that goes with a section's figures."""
    if section == "load" and MARS in material.comparison.backends:
        yield tables.overview(material)
    if section == "parts" and material.ablations and MARS in material.comparison.backends:
        yield tables.decided(material)
    if section == "fairness":
        yield tables.fairness(material)


def _others(material: Material) -> Iterator[Section]:
    """What only some runs have."""
    comparison = material.comparison
    if any(comparison.held.values()):
        text = Text("The same backends where the runs differ in more than workload and load.")
        yield Section("held", "Whether the ranking holds", (text, tables.held(material)))
    if comparison.capacities:
        text = Text("The highest rate at which enough sessions are served well, by bisection.")
        yield Section("capacity", "Capacity", (text, tables.capacities(material)))
    yield Section("published", PUBLISHED, tuple(_published(material)))


def _published(material: Material) -> Iterator[Block]:
    if MARS not in material.comparison.backends:
        yield Text(f"Left out: `{MARS}` is not among the runs.")
        return
    yield Text(
        "A verdict follows from a stated rule (docs/reproduction.md). “Contended” are the places "
        f"at which FCFS serves less than nine tenths of the sessions within 3 times alone. "
        f"{thresholds()}"
    )
    yield tables.published(material)
    why = reasons()
    found = [(claim, claim.found(material.matrix)) for claim in CLAIMS]
    short = [
        (claim, finding.why or why.get(claim.id, ""))
        for claim, finding in found
        if finding.why or (claim.id in why and finding.verdict in MISSED)
    ]
    if short:
        yield Text("Where a published number is not reached, what is known of why:")
        yield Points(tuple(f"{_capital(claim.what)}: {text}" for claim, text in short))
