"""The tables of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from marsbench.text.tables import Table, markdown
from studies.calibration.pool import HARMLESS, Pool
from studies.calibration.power import MOST, estimated, failing
from studies.calibration.power import enough as fewest
from studies.calibration.rates import COIN, OTHERS, Coverage, Rate, Row, rate


def pools(found: Iterable[Pool]) -> str:
    """What was run."""
    head = ("policy", "sessions a run", "seeds", "made worse")
    lines = []
    for pool in found:
        worse = ", ".join(f"`{case}`" for case in pool.regressions)
        lines.append((pool.title, str(pool.sessions), str(len(pool.seeds)), worse))
    return markdown(Table(head, lines))


def changes(found: Iterable[Pool]) -> str:
    """The pools' true changes, with how much one seed scatters around them."""
    head = ("case", "sessions", "figure", "mean of the base", "unpaired", "mean change",
            "typical seed", "per seed")  # fmt: skip
    lines = []
    for pool in found:
        for case in pool.cases:
            for figure in pool.names:
                base = pool.base(figure)
                spread = float(base.std(ddof=1) / base.mean())
                change, typical = pool.change(case, figure), pool.typical(case, figure)
                each = (f"{base.mean():.4g}", f"{spread:.1%}", f"{change:+.1%}",
                        f"{typical:+.1%}", f"{pool.scatter(case, figure):.1%}")  # fmt: skip
                lines.append((_named(pool, case), str(pool.sessions), figure.label, *each))
    return markdown(Table(head, lines))


def enough(rows: Sequence[Row], eight: int) -> str:
    """How many seeds each regression takes at each margin."""
    head = ("regression", "sessions", "figure", "change", "margin", "seeds", "caught",
            "false fails, at most", "pool beyond the margin", "least of the pool",
            f"{eight} seeds at its lower end")  # fmt: skip
    lines: list[tuple[str | None, ...]] = []
    for _, group in groupby(_worse(rows), _check):
        own = list(group)
        first, number = own[0], fewest(own[0], rows)
        beyond = first.pool.beyond(first.case, first.figure, _margin(first))
        share = rate(beyond, len(first.pool.seeds))
        chosen = next((r for r in own if r.seeds == number), None)
        false = _false(rows, first, number)
        lines.append((
            *_place(first),
            first.margin,
            f"**{number}**" if number else _about(share.share),
            None if chosen is None else _rate(chosen.failed),
            None if false is None else _rate(false),
            f"{beyond} of {len(first.pool.seeds)}",
            f"{first.pool.least(first.case, first.figure):+.1%}",
            f"{failing(share.low, eight):.0%}",
        ))  # fmt: skip
    return markdown(Table(head, lines))


def _about(share: float) -> str:
    number = estimated(share)
    return f"about {number}" if number else f"none up to {MOST:,}"


def _false(rows: Sequence[Row], found: Row, seeds: int | None) -> Rate | None:
    own = [r.failed for r in rows if r.change is None and r.how != OTHERS
           and r.seeds == seeds and r.check == found.check]  # fmt: skip
    return max(own, default=None)


def null(rows: Sequence[Row], eight: int) -> str:
    """The largest share of false fails over the numbers of seeds."""
    head = ("policy", "sessions", "figure", "margin", f"`{HARMLESS}`", COIN, OTHERS,
            f"`{HARMLESS}`: passed")  # fmt: skip
    lines: list[tuple[str | None, ...]] = []
    nothing = [r for r in rows if r.change is None]
    for _, group in groupby(nothing, lambda r: r.check):
        own = list(group)
        first = own[0]
        calm = [r for r in own if r.case == HARMLESS]
        passed = next((r.passed for r in calm if r.seeds == eight), None)
        lines.append((
            first.pool.title, str(first.pool.sessions), first.figure.label, first.margin,
            _worst(calm),
            _worst(r for r in own if r.how == COIN),
            _worst(r for r in own if r.how == OTHERS),
            None if passed is None else _rate(passed),
        ))  # fmt: skip
    return markdown(Table(head, lines))


def _worst(rows: Iterable[Row]) -> str | None:
    found = max((r.failed for r in rows), default=None)
    return None if found is None else _rate(found)


def caught(rows: Sequence[Row]) -> str:
    """The share that fails, a column a number of seeds."""
    sizes = sorted({r.seeds for r in rows})
    head = ("regression", "sessions", "figure", "change", "margin",
            *(f"{n} seeds" for n in sizes), "passed")  # fmt: skip
    lines = []
    for _, group in groupby(_worse(rows), _check):
        own = list(group)
        cells = (_rate(r.failed) for r in own)
        passed = max(r.passed.share for r in own)
        lines.append((*_place(own[0]), own[0].margin, *cells, f"{passed:.1%}"))
    return markdown(Table(head, lines))


def _worse(rows: Iterable[Row]) -> list[Row]:
    """Those of regressions beyond the margin, each check's together, as they first come."""
    found: dict[object, list[Row]] = {}
    for row in rows:
        if row.change is not None and row.pool.exceeds(row.case, row.figure, _margin(row)):
            found.setdefault(_check(row), []).append(row)
    return [row for group in found.values() for row in group]


def _margin(row: Row) -> float:
    return float(row.margin.removesuffix("%")) / 100


def _check(row: Row) -> object:
    return row.check, row.case


def _place(row: Row) -> tuple[str, str, str, str]:
    change = f"{row.change:+.1%}"
    return _named(row.pool, row.case), str(row.pool.sessions), row.figure.label, change


def _named(pool: Pool, case: str) -> str:
    return f"`{case}` ({pool.title.partition(' on ')[0]})" if case == HARMLESS else f"`{case}`"


def coverages(found: Sequence[Coverage]) -> str:
    """How often each kind of interval held."""
    head = ("policy", "sessions", "figure", "seeds", "the gate's interval", "Student's t",
            "percentile bootstrap")  # fmt: skip
    lines = []
    for one in found:
        gate = "none" if one.gate is None else _rate(one.gate)
        where = (one.pool.title, str(one.pool.sessions), one.figure.label, str(one.seeds))
        lines.append((*where, gate, _rate(one.student), _rate(one.bootstrap)))
    return markdown(Table(head, lines))


def _rate(one: Rate) -> str:
    return f"{one.share:.1%} ({one.low:.1%}–{one.high:.1%})"
