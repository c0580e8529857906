"""The calibration as Markdown and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from marsbench.judge.gate.rules import rule_of
from marsbench.judge.gate.values import CONFIDENCE
from marsbench.text.tables import Table, as_csv
from studies.calibration import tables
from studies.calibration.pool import BASE, HARMLESS, Pool
from studies.calibration.power import CAUGHT, FALSE_FAILS
from studies.calibration.rates import COIN, DRAWS, OTHERS, PAIRED, Row, coverage, row
from studies.calibration.text import TEXT

MARGINS = ("5%", "2%")
SEEDS = (6, 7, 8, 9, 10)
EIGHT = 8
"""Seeds that a column is about: as many as anybody plays for a pull request."""


def document(pools: Sequence[Pool]) -> tuple[str, str]:
    """The calibration of the gate on these pools: Markdown, and every row as CSV."""
    rows = [one for pool in pools for one in _rows(pool)]
    held = [
        coverage(pool, case, figure, n)
        for pool in pools
        for case in pool.regressions[:1]
        for figure in pool.names
        for n in SEEDS
    ]
    text = TEXT.format(
        code=", ".join(sorted({code for pool in pools for code in pool.code})),
        pools=tables.pools(pools),
        draws=DRAWS,
        confidence=CONFIDENCE,
        harmless=HARMLESS,
        false_fails=FALSE_FAILS,
        caught_share=CAUGHT,
        most=max(SEEDS),
        eight=EIGHT,
        sizes=f"{min(SEEDS)} to {max(SEEDS)}",
        changes=tables.changes(pools),
        enough=tables.enough(rows, EIGHT),
        null=tables.null(rows, EIGHT),
        caught=tables.caught(rows),
        coverage=tables.coverages(held),
    )
    return text, _csv(rows)


def _rows(pool: Pool) -> Iterator[Row]:
    """Every case of a pool: nothing changed, and what is worse."""
    ways = [(case, PAIRED) for case in pool.cases]
    ways += [(case, COIN) for case in pool.regressions] + [(BASE, OTHERS)]
    for figure in pool.names:
        for margin in MARGINS:
            rule = rule_of(figure, margin)
            yield from (row(pool, case, rule, n, how) for n in SEEDS for case, how in ways)


def _csv(rows: Sequence[Row]) -> str:
    verdicts = ("failed", "inconclusive", "passed")
    spread = [f"{v}{end}" for v in verdicts for end in ("", "_low", "_high")]
    lines = []
    for one in rows:
        change = None if one.change is None else f"{one.change:.6g}"
        rates = [f"{x:.6g}" for v in verdicts for x in getattr(one, v)]
        key = (
            one.pool.title,
            one.pool.sessions,
            one.case,
            one.how,
            str(one.figure),
            one.margin,
            one.seeds,
        )
        lines.append((*key, change, *rates))
    head = ("policy", "sessions", "case", "how", "figure", "margin", "seeds", "change", *spread)
    return as_csv(Table(head, lines))
