"""The MARS paper's numbers beside these runs': only where the verdicts were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from marsbench.judge.compare.caps import sentences
from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.compare.points import Place
from marsbench.judge.compare.values import Difference
from marsbench.judge.paper.claims import CLAIMS, OURS
from marsbench.judge.paper.systems import BASELINES, BOUND, CONTROL, MARS
from marsbench.judge.paper.tables import as_cells, reasons, thresholds, wholes
from marsbench.judge.paper.tables import findings as of_rows
from marsbench.judge.paper.verdicts import NOTHING, Finding, Verdict
from marsbench.report.document import Block, Points, Section, Text
from marsbench.report.material import Material
from marsbench.report.spans import bracket_words, with_interval
from marsbench.text.numbers import UNMEASURED, percent, short
from marsbench.text.tables import Table
from marsbench.text.words import capital, listed

MISSED: tuple[Verdict, ...] = ("partly", "not reached", "not exercised")
"""Verdicts that want a reason."""
JUDGED: tuple[Verdict, ...] = ("reached", *MISSED, "not measured")


def verdicts(material: Material) -> Iterator[Section]:
    """The section of the verdicts, where they were asked for."""
    if material.options.verdicts == "mars":
        title = "Side by side with the published numbers"
        yield Section("published", title, tuple(_published(material)))


def findings(material: Material, claims: Sequence[str]) -> Iterator[Block]:
    """What the paper says of a section's figures, and what came out."""
    if material.options.verdicts != "mars":
        return
    found = [(claim, of_rows(material.matrix, claim)) for claim in CLAIMS if claim.id in claims]
    items = [
        f"{capital(claim.what)}. Paper: {claim.paper}. {_rows(material, rows)}"
        for claim, rows in found
        if any(finding != NOTHING for finding in rows)
    ]
    if items:
        yield Points(tuple(items))


def _rows(material: Material, rows: Sequence[Finding]) -> str:
    """ "Here: …. With the published parts alone: …." """
    same = all(finding == rows[0] for finding in rows)
    names = wholes(material.matrix)
    heads = ["Here"] if same else [f"Here, `{name}`" for name in names]
    return " ".join(f"{head}: {_here(one)}." for head, one in zip(heads, rows, strict=False))


def _here(finding: Finding) -> str:
    """Our number; that there is no verdict on it is said where one would be expected."""
    unjudged = finding.verdict in ("not exercised", "not measured")
    return f"{finding.verdict} ({finding.ours})" if unjudged else finding.ours


def counted(material: Material) -> str:
    """How many of the paper's numbers were reached; empty where nobody asked."""
    if material.options.verdicts != "mars":
        return ""
    rows = {name: _counts(material, name) for name in wholes(material.matrix)}
    number = sum(next(iter(rows.values())).values())
    told = [
        f"{listed([f'{times} {verdict}' for verdict, times in own.items() if times])} by `{name}`"
        for name, own in rows.items()
    ]
    ours = RESERVES if MARS in rows and len(rows) > 1 else ""
    return f"Of {number} numbers that the MARS paper reports: {'; '.join(told)}.{ours}"


RESERVES = " `mars` reserves memory by a rule that is ours; `mars-published` does not."


def _counts(material: Material, mars: str) -> dict[str, int]:
    """How often each verdict is given to a row of MARS."""
    found = [claim.found(material.matrix, mars).verdict for claim in CLAIMS if claim.paper != OURS]
    return {verdict: found.count(verdict) for verdict in JUDGED}


def _published(material: Material) -> Iterator[Block]:
    yield Text(counted(material))
    yield Text(
        "A verdict follows from a stated rule (docs/reproduction.md). “Contended” are the places "
        f"at which FCFS serves less than nine tenths of the sessions within 3 times alone. "
        f"{thresholds()}"
    )
    yield overview(material)
    yield published(material)
    why = reasons()
    known = {
        (claim, finding.why or why.get(claim.id, "")): None
        for claim in CLAIMS
        for finding in of_rows(material.matrix, claim)
        if finding.why or (claim.id in why and finding.verdict in MISSED)
    }
    if known:
        yield Text("Where a published number is not reached, what is known of why:")
        yield Points(tuple(f"{capital(claim.what)}: {text}" for claim, text in known))


def overview(material: Material) -> Table:
    """Each place on one line: the best baseline, MARS, the control and the bound."""
    alpha = f"{material.alpha:g}"
    head = (
        "place", "best baseline", "its mean s", "mars s", "baseline ÷ mars", "fcfs-cap ÷ mars",
        "oracle ÷ mars", f"goodput({alpha}): baseline", "mars", "fcfs-cap", "oracle",
    )  # fmt: skip
    ratios = {(r.place, r.backend): r for r in _differences(material, LATENCY)}
    rows = tuple(_overview(material, place, ratios) for place in material.matrix.places)
    caption = (
        "Mean latency and goodput at every place. A ratio (of means) above 1 is in favour of MARS; "
        f"{bracket_words(material.comparison)}. " + " ".join(sentences(material.comparison.caps))
    )
    return Table(head, rows, "llr", caption.strip())


def _overview(
    material: Material, place: Place, ratios: Mapping[tuple[Place, str], Difference]
) -> tuple[str, ...]:
    matrix, goodput = material.matrix, Figure("goodput", material.alpha)
    best = matrix.best(place, BASELINES, LATENCY)
    name = best.names[0] if best else UNMEASURED
    return (
        matrix.title(place),
        best.told if best else UNMEASURED,
        short(best.value if best else None),
        short(matrix.value(place, MARS, LATENCY)),
        *(with_interval(ratios.get((place, who))) for who in (name, CONTROL, BOUND)),
        *(percent(matrix.value(place, who, goodput)) for who in (name, MARS, CONTROL, BOUND)),
    )


def _differences(material: Material, figure: Figure) -> Iterator[Difference]:
    return (row for row in material.against(MARS).differences if row.figure == figure)


def published(material: Material) -> Table:
    """What the paper reports beside what was measured here, with a verdict by a stated rule."""
    rows = tuple(
        (claim.what, claim.paper, *as_cells(of_rows(material.matrix, claim))) for claim in CLAIMS
    )
    caption = "The MARS paper's numbers (arXiv 2604.26963) beside these runs'."
    here = (
        f"{told} {name}" for name in wholes(material.matrix) for told in ("here,", "verdict on")
    )
    return Table(("what", "the paper", *here), rows, "l", caption)
