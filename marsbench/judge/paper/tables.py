"""Points and verdicts as Markdown and CSV."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from marsbench.judge.compare.caps import caps_in, sentences
from marsbench.judge.compare.figures import LATENCY, QUARTERS, Figure
from marsbench.judge.compare.points import Matrix, MatrixPoint, Place
from marsbench.judge.compare.ranking import (
    LEVEL_GOODPUT,
    LEVEL_LATENCY,
    HeldRanking,
    ranking,
    standings,
    told,
)
from marsbench.judge.intervals import FEWEST_SEEDS
from marsbench.judge.paper.claims import CLAIMS, Claim
from marsbench.judge.paper.systems import BASELINES, BOUND, CONTROL, MARS, PUBLISHED, WHOLES
from marsbench.judge.paper.verdicts import NEAR, Finding
from marsbench.judge.paper.view import Curve, MatrixView, contended
from marsbench.text.numbers import UNMEASURED, percent, short, times
from marsbench.text.tables import Table, markdown
from marsbench.text.tables import as_csv as written
from marsbench.text.words import bulleted, each

GOODPUTS = tuple(Figure("goodput", alpha) for alpha in (1.5, 2.0, 3.0, 5.0))

HEADINGS = {
    **{good: good.label for good in GOODPUTS},
    LATENCY: "mean s",
    Figure("latency_p90_s"): "P90 s",
    Figure("latency_p95_s"): "P95 s",
    Figure("latency_p99_s"): "P99 s",
    Figure("ttft_ready_first_p99_s"): "TTFT P99 s, ready, first rounds",
    Figure("ttft_ready_continuation_p99_s"): "later",
    Figure("ttft_submit_first_p99_s"): "submit, first",
    Figure("ttft_submit_continuation_p99_s"): "later",
    Figure("evicted_per_s"): "evicted /s",
    Figure("evicted_live_per_s"): "of live",
    Figure("preemptions"): "preempted",
    Figure("hit_rate"): "hit rate",
    Figure("host_hit_rate"): "from host",
    Figure("output_tokens_per_s"): "output tok/s",
    Figure("computed_tokens_per_s"): "computed tok/s",
}


def reported(matrix: Matrix) -> str:
    """What the paper reports, row by row, and our verdicts on MARS, and on its published parts."""
    here = (f"{told} {mars}" for mars in wholes(matrix) for told in ("here,", "verdict on"))
    head = ("what", "the paper", *here, "why, where known")
    return markdown(Table(head, [_claim(matrix, claim) for claim in CLAIMS], "l"))


def wholes(matrix: Matrix) -> list[str]:
    """The rows of MARS that are judged: those that were run, or else the one that is asked for."""
    return [name for name in WHOLES if name in matrix.backends] or [MARS]


def findings(matrix: Matrix, claim: Claim) -> list[Finding]:
    """Of each row of MARS that was run."""
    return [claim.found(matrix, mars) for mars in wholes(matrix)]


def as_cells(found: Sequence[Finding], mark: str = "") -> Iterator[str]:
    """Number and verdict of each row of MARS; what is the same for all is said once."""
    for number, one in enumerate(found):
        same = number > 0 and one == found[0]
        yield "the same" if same else one.ours
        yield "the same" if same else f"{mark}{one.verdict}{mark}"


def _claim(matrix: Matrix, claim: Claim) -> tuple[str, ...]:
    found = findings(matrix, claim)
    whys = [
        one.why or reasons().get(claim.id, "")
        for one in found
        if one.verdict not in ("reached", "ours alone")
    ]
    return (claim.what, claim.paper, *as_cells(found, "**"), " ".join(each(whys)))


def rules() -> str:
    """How each verdict is reached."""
    return bulleted(f"{claim.what}: {claim.rule}." for claim in CLAIMS)


def reasons() -> dict[str, str]:
    """Why a row is not reached, by the id of its claim."""
    file = Path(__file__).with_name("reasons.toml")
    return {str(key): str(text) for key, text in tomllib.loads(file.read_text("utf-8")).items()}


def overview(matrix: Matrix) -> str:
    """Each place on one line: who is best, and how MARS, the control and the bound stand to it."""
    head = (
        "place",
        "best baseline",
        "its mean s",
        "mars",
        "baseline ÷ mars",
        "fcfs-cap ÷ mars",
        "oracle ÷ mars",
        "mars-published ÷ mars",
        "goodput(3): baseline",
        "mars",
        "mars-published",
        "fcfs-cap",
        "oracle",
    )
    return markdown(Table(head, [_overview(matrix, place) for place in matrix.places], "llr"))


def _overview(matrix: Matrix, place: Place) -> tuple[str, ...]:
    best = matrix.best(place, BASELINES, LATENCY)
    value = best.value if best else None
    own = matrix.value(place, MARS, LATENCY)
    first = best.names[:1] if best else (UNMEASURED,)
    goods = (
        matrix.value(place, who, GOODPUTS[2]) for who in (*first, MARS, PUBLISHED, CONTROL, BOUND)
    )
    return (
        matrix.title(place),
        best.told if best else UNMEASURED,
        short(value),
        short(own),
        times(None if value is None or not own else value / own, 2),
        times(matrix.ratio(place, LATENCY, CONTROL, MARS), 2),
        *(times(matrix.ratio(place, LATENCY, who, MARS), 2) for who in (BOUND, PUBLISHED)),
        *(percent(good) for good in goods),
    )


def details(matrix: Matrix) -> str:
    """Every figure of every point, a table a place, best backend first."""
    return "\n\n".join(f"### {matrix.title(p)}\n\n{_detail(matrix, p)}" for p in matrix.places)


def _detail(matrix: Matrix, place: Place) -> str:
    order = [name for level in ranking(standings(matrix, place)) for name in level]
    points = [point for name in order if (point := matrix.at(place, name)) is not None]
    head = ("backend", *HEADINGS.values(), "÷ mars", "÷ best baseline")
    return markdown(Table(head, [_row(matrix, point) for point in points]))


def _row(matrix: Matrix, point: MatrixPoint) -> tuple[str, ...]:
    best = matrix.best(point.place, BASELINES, LATENCY)
    own = point.mean(LATENCY)
    return (
        point.backend,
        *(_cell(point, figure) for figure in HEADINGS),
        times(matrix.ratio(point.place, LATENCY, point.backend, MARS), 2),
        times(None if best is None or own is None else own / best.value, 2),
    )


def _cell(point: MatrixPoint, figure: Figure) -> str:
    """ "192 (180–210)"; the mean alone where the seeds agree."""
    spread = point.spread(figure)
    if spread.mean is None:
        return UNMEASURED
    form = percent if figure.is_share else short
    mean, low, high = (form(value) for value in spread)
    return mean if low == high else f"{mean} ({low}–{high})"


def loads(matrix: Matrix) -> str:
    """Goodput and throughput along the loads of a regime: does one fall and the other not?"""
    head = ("regime", "backend", "goodput(3)", "output tok/s", "computed tok/s", "goodput kept")
    outputs, computed = (
        _curves(matrix, Figure(f"{of}_tokens_per_s")) for of in ("output", "computed")
    )
    rows = [
        (
            curve.regime.workload,
            curve.backend,
            _arrows(curve, percent),
            *(_arrows(other.get(key), short) for other in (outputs, computed)),
            percent(curve.kept),
        )
        for key, curve in _curves(matrix, GOODPUTS[2]).items()
    ]
    return markdown(Table(head, rows, "lllllr"))


def _curves(matrix: Matrix, figure: Figure) -> dict[tuple[Place, str], Curve]:
    """A figure of every system along the loads of every regime."""
    found = MatrixView(matrix, (figure,)).curves((*BASELINES, CONTROL, *WHOLES, BOUND))
    return {(curve.regime, curve.backend): curve for curve in found}


def eviction_quarters(matrix: Matrix) -> str:
    """Live blocks evicted a second by quarter of the run, at contended places."""
    head = ("place", "backend", "1st quarter", "2nd", "3rd", "4th")
    rows = [
        (
            matrix.title(place),
            who,
            *(short(matrix.value(place, who, quarter)) for quarter in QUARTERS),
        )
        for place in contended(matrix)
        for who in ("fcfs", "infercept", "continuum", CONTROL, *WHOLES)
        if matrix.at(place, who) is not None
    ]
    return markdown(Table(head, rows, "llr"))


def rankings(rows: Sequence[HeldRanking], dimension: str) -> str:
    """Whether the ranking held, place by place."""
    head = ("place", dimension, "ranking by goodput(3), then mean latency", "verdict", "turned")
    return markdown(Table(head, [line for row in rows for line in _held(row, dimension)], "l"))


def _held(row: HeldRanking, dimension: str) -> Iterator[tuple[str, ...]]:
    pairs = ", ".join(f"{b} over {a}" for a, b in row.turned)
    for place, order, verdict, which in (
        (row.base, row.base_ranking, "", ""),
        (row.other, row.other_ranking, f"**{row.verdict}**", pairs),
    ):
        yield (place.title, getattr(place, dimension), told(order), verdict, which)


def as_csv(matrix: Matrix) -> str:
    """Every figure of every point, one row a point: mean, lowest and highest over the seeds."""
    figures = list(dict.fromkeys(figure for point in matrix.points for figure in point.figures))
    spreads = [f"{figure}{suffix}" for figure in figures for suffix in ("", "_low", "_high")]
    rows = [
        (*point.place, point.backend, len(point.seeds), *_exact(point, figures))
        for point in matrix.points
    ]
    return written(Table((*Place._fields, "backend", "seeds", *spreads), rows))


def _exact(point: MatrixPoint, figures: Sequence[Figure]) -> Iterator[str | None]:
    for value in (v for figure in figures for v in point.spread(figure)):
        yield None if value is None else f"{value:.6g}"


def caps(matrix: Matrix) -> str:
    """How the control's caps came about; nothing where nobody ran under one."""
    return " ".join(sentences(caps_in(matrix)))


def thresholds() -> str:
    """What counts as level and as reached."""
    return (
        f"Two backends are level within {LEVEL_GOODPUT:.0%} of sessions in goodput(3) and "
        f"{LEVEL_LATENCY:.0%} in mean latency. A published ratio is reached at {NEAR:.0%} of it. "
        "These are rules on means. Whether one backend is better than another beyond chance is "
        f"said by `marsbench compare` alone, and takes {FEWEST_SEEDS} seeds."
    )


def _arrows(curve: Curve | None, form: Callable[[float], str]) -> str:
    return UNMEASURED if curve is None else " → ".join(map(form, curve.values))
