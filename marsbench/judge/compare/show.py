"""A comparison on a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape

from marsbench.judge.compare.caps import by_backend, in_words
from marsbench.judge.compare.causes import MOST_RUNS, CauseRow
from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.compare.points import Place
from marsbench.judge.compare.ranking import told
from marsbench.judge.compare.values import Comparison, Difference, Estimate, Fairness, TenantRow
from marsbench.judge.why.causes import SHORT
from marsbench.text.cautions import print_caution
from marsbench.text.console import drawn
from marsbench.text.numbers import UNMEASURED, measured, percent, plain, seconds, span, times
from marsbench.text.tables import Cell, Styled, Table

DEFAULT = (
    LATENCY,
    Figure("latency_p95_s"),
    Figure("ttft_ready_first_p99_s"),
    Figure("ttft_ready_continuation_p99_s"),
    Figure("recomputed_tokens"),
    Figure("critical_llm_mean_s"),
    Figure("slack_mean_s"),
)
"""Shown unless metrics are named, after goodput at every α, where runs have them."""
_GOODS = ("goodput", "steady_goodput")
COLOURS = {"better": "green", "worse": "red"}


def render(found: Comparison, metrics: Sequence[Figure], console: Console) -> None:
    """Every place: the figures against the baseline, who pays; then what holds for all."""
    goods = [Figure(name, a) for name in _GOODS for a in found.alphas[:2]]
    figures = list(metrics) or [*goods, *DEFAULT]
    for place in found.places:
        console.print(f"[bold]{escape(found.matrix.title(place))}[/bold]", highlight=False)
        for figure in figures:
            table = _figure(found, place, figure)
            if table is not None:
                console.print(drawn(table))
        console.print(drawn(_sizes(found, place)))
        console.print(drawn(_evenness(found, place)))
        if any(row.place == place for row in found.tenants):
            console.print(drawn(tenants(found, place)))
        if any(row.place == place for row in found.causes):
            _why(found, place, console)
    for line in _lines(found):
        console.print(escape(line), highlight=False)
    for caution in found.cautions:
        print_caution(console, caution)


def _figure(found: Comparison, place: Place, figure: Figure) -> Table | None:
    """One figure of every backend there, best first, beside the baseline."""
    rows = [e for e in found.estimates if (e.place, e.figure) == (place, figure)]
    if all(row.mean is None for row in rows):
        return None
    against = {d.backend: d for d in found.differences if (d.place, d.figure) == (place, figure)}
    label = figure.label + (f", {figure.unit}" if figure.unit else "")
    head = (label, "mean", "seeds", f"to {found.baseline}", "typical seed", "ahead")
    order = sorted(rows, key=lambda r: (r.rank or 0, r.backend))
    return Table(head, [_cells(row, against.get(row.backend)) for row in order], "Lr")


def _cells(row: Estimate, against: Difference | None) -> tuple[Cell, ...]:
    """Mean, lowest to highest seed; to the baseline: of the means, typical, in how many seeds."""
    own = (row.backend, value_in_words(row.figure, row.mean), _span(row))
    if against is None:
        return (*own, "", "", "")
    return (*own, *beside(against), _ahead(against))


def beside(against: Difference) -> tuple[str, str]:
    """Of the means, and of the typical seed, which has an interval where seeds are enough."""
    return (_differences if _by_difference(against) else _ratios)(against)


def _by_difference(against: Difference) -> bool:
    """Shares, and what has no ratio in some seed, are told in their unit."""
    return against.typical_ratio.value is None or against.figure.is_share


def _differences(against: Difference) -> tuple[str, str]:
    """Of the means, and of the typical seed: "+47.2 pts", "+50.0 pts (0.0 to +87.5)"."""
    value, *bounds = (_signed(against.figure, one) for one in against.typical_difference)
    low, high = (bound.removesuffix(" pts") for bound in bounds)
    between = "" if against.typical_difference.low is None else f" ({low} to {high})"
    return _signed(against.figure, against.difference), f"{value}{between}"


def _ratios(against: Difference) -> tuple[str, str]:
    """Of the means, and of the typical seed: "0.35×", "0.35× (0.29–0.96)"."""
    value, low, high = against.typical_ratio
    between = "" if low is None or high is None else f" ({low:.2f}–{high:.2f})"
    return times(against.ratio, 2), f"{times(value, 2)}{between}"


def _ahead(against: Difference) -> Cell:
    """ "5/6 better": the seeds in which the backend is the better one, and the verdict."""
    if against.ahead is None:
        return ""
    number = f"{against.ahead}/{against.seeds}"
    if against.standing == "unclear":
        return number
    return Styled(f"{number} {against.standing}", COLOURS[against.standing])


def _span(row: Estimate) -> str:
    """The lowest seed and the highest."""
    if row.lowest is None or row.highest is None:
        return UNMEASURED
    return span((row.lowest, row.highest), lambda value: value_in_words(row.figure, value), "–")


def value_in_words(figure: Figure, value: float | None) -> str:
    """ "97.0%"; "130.2"."""
    return percent(value, 1) if figure.is_share else plain(value, 4)


def _signed(figure: Figure, value: float | None) -> str:
    """A difference; of shares it is in percentage points."""
    text = value_in_words(figure, value).replace("%", " pts")
    return f"+{text}" if value is not None and value > 0 else text


def _why(found: Comparison, place: Place, console: Console) -> None:
    """Where the seconds went, then in sentences what makes the difference, and what is not told."""
    rows = [row for row in found.causes if row.place == place]
    if any(row.completion_s is not None for row in rows):
        console.print(drawn(_causes(rows)))
    differences = (one.told for one in found.cause_differences if one.place == place)
    for line in (*differences, *_left_out(rows)):
        console.print(escape(line), highlight=False)


def _causes(rows: Sequence[CauseRow]) -> Table:
    """Seconds alone and by cause, which add up to the last column; causes that nobody had apart."""
    told = [n for n in SHORT if any(round(row.causes.known.get(n, 0.0), 6) for row in rows)]
    cells = [
        (
            row.backend,
            seconds(row.ideal_s),
            *(seconds(_of_clock(row.causes.known.get(name))) for name in told),
            seconds(row.completion_s),
        )
        for row in rows
    ]
    head = ("mean seconds", "alone", *(SHORT[name] for name in told), "completion")
    return Table(head, cells, "Lr")


def _of_clock(value: float | None) -> float | None:
    """Differences of clock readings have rounding errors of a billionth; they are none."""
    return None if value is None else round(value, 6) + 0.0


def _left_out(rows: Sequence[CauseRow]) -> Iterator[str]:
    """What the table cannot tell."""
    for row in rows:
        if row.note is not None:
            less = "not all causes" if row.causes.known else "no causes"
            yield f"{row.backend}: {less} are told apart, since {row.note.removesuffix('.')}."
        if row.left_out:
            yield (
                f"{row.backend}: {row.left_out} of {row.sessions + row.left_out} sessions did not "
                "finish, or have no time alone, and are in no mean."
            )


def _sizes(found: Comparison, place: Place) -> Table:
    """Mean slowdown by size, the worst, and how many starved."""
    sizes = [s for s in ("small", "middle", "long", "over 50k") if _has(found, place, s)]
    rows = []
    for row in found.fairness:
        if row.place == place:
            means = [_mean(found, row, size) for size in sizes]
            told = [measured(number, ".2f") for number in (*means, row.worst_slowdown)]
            rows.append((row.backend, *told, f"{row.starved}/{row.sessions}"))
    return Table(("slowdown", *sizes, "worst", "starved"), rows, "Lr")


def _evenness(found: Comparison, place: Place) -> Table:
    """Jain's index, the area under goodput against α, and what is left to the oracle."""
    areas = {(a.place, a.backend): a.area for a in found.areas}
    oracle = {(o.place, o.backend): o.share for o in found.of_oracle}
    rows = []
    for row in found.fairness:
        if row.place == place:
            key = (place, row.backend)
            indices = (row.jain_sessions, row.jain_tenants, row.jain_sizes, areas[key])
            told = [measured(number, ".3f") for number in indices]
            rows.append((row.backend, *told, percent(oracle.get(key), 1)))
    head = ("Jain's index", "sessions", "tenants", "sizes", "goodput area", "÷ oracle")
    return Table(head, rows, "Lr")


def tenants(found: Comparison, place: Place, caption: str = "") -> Table:
    """Every tenant under every backend: how its sessions fared, and what it was served."""
    rows = [
        (
            row.backend,
            row.tenant,
            str(row.sessions),
            percent(row.good, 1),
            measured(row.slowdown_mean, ".2f"),
            measured(row.slowdown_max, ".2f"),
            _service(row),
        )
        for row in found.tenants
        if row.place == place
    ]
    good = Figure("goodput", next(iter(found.alphas), 3.0)).label
    head = ("tenants", "", "sessions", good, "slowdown", "worst", "service")
    return Table(head, rows, "LLr", caption)


def _service(row: TenantRow) -> str:
    """ "31% (19–48)": of all, and in the tenths of the run where it is lowest and highest."""
    if row.service is None or row.service_low is None or row.service_high is None:
        return UNMEASURED
    low, high = (percent(share).removesuffix("%") for share in (row.service_low, row.service_high))
    return f"{percent(row.service)} ({low}–{high})"


def _has(found: Comparison, place: Place, size: str) -> bool:
    return any(s.place == place and s.size == size and s.sessions for s in found.sizes)


def _mean(found: Comparison, row: Fairness, size: str) -> float | None:
    key = (row.place, row.backend, size)
    return next(s.slowdown_mean for s in found.sizes if (s.place, s.backend, s.size) == key)


def _lines(found: Comparison) -> Iterator[str]:
    for ranking in found.rankings:
        yield f"ranking on {found.matrix.title(ranking.place)}: {told(ranking.order)}"
    if not found.causes and len(found.sources) > MOST_RUNS:
        yield (
            f"where the seconds went was not read from the events of {len(found.sources)} runs; "
            "--why reads them"
        )
    for dimension, rows in found.held.items():
        for row in rows:
            other = getattr(row.other, dimension)
            where = f"{row.base.title}, {dimension} {other}"
            yield f"ranking with {where}: {row.verdict}"
    for caps in by_backend(found.caps).values():
        yield f"{caps[0].backend}: {in_words(caps)}"
    for capacity in found.capacities:
        yield (
            f"capacity of {capacity.backend} on {capacity.workload} "
            f"({capacity.share:.0%} of sessions within {capacity.alpha:g}× alone): "
            f"{capacity.answer}"
        )
