"""The calibration as Markdown and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.gate.change import two_sided
from marsbench.judge.gate.rules import rule_of
from marsbench.judge.gate.values import CONFIDENCE
from marsbench.judge.intervals import FEWEST_SEEDS, dissent
from marsbench.text.tables import Table, as_csv, markdown
from studies.calibration.effects import FIGURES
from studies.calibration.pool import HARMLESS, Pool
from studies.calibration.rates import (
    DRAWS,
    Coverage,
    Rate,
    Row,
    coverage,
    row,
    slower,
    swapped,
    unpaired,
)

MARGINS = ("5%", "2%")
SEEDS = (5, 6, 8, 9, 10)
TENTH = "+10 %"
COIN, OTHERS = "sides swapped by a coin", "other seeds, unpaired"
FALSE_FAILS, CAUGHT = 0.05, 0.9
MOST = 1000
"""Seeds that anybody would play."""

TEXT = """\
# How often the gate is wrong

Computed by `make gate-calibration` from simulated runs: {title}, {sessions} sessions a run, \
{seeds} seeds, code {code}. Each row is {draws:,} draws of so many seeds without replacement, each \
judged by `marsbench gate` at {confidence:.0%} (one-sided). Brackets are Wilson intervals at 95 % \
of the draws alone: the pool itself is a sample too.

`step-1.001` are real runs in which every step takes 0.1 % longer. The regressions of 5, 10 and \
20 % are of stated size and measured shape: in {pairs} real pairs, whose slower side takes 3.3 % \
longer for every step, each session was slowed by some factor (mean latency {measured:+.1%}); \
these factors are laid on the sessions of each seed, one pair's factors a seed, and stretched \
until the figure that is looked at, computed again from the sessions, is worse by 5, 10 or 20 %.

## What changed

The true change of each figure is that of the whole pool: of its mean, and of its typical seed \
(the median), which is what the gate judges. "Per seed" is the deviation of one seed's paired \
change, and unpaired that of the figure itself between seeds.

{changes}

## Which number of seeds

A number of seeds is enough for a figure when, at a margin of 5 %, at most 5 % of the draws in \
which nothing changed fail, by the upper end of the interval, and at least 90 % of those of the \
regression of 10 % do, by its lower end. Draws of other seeds are left out: the gate pairs. \
Where the pool is too small to try enough, the share of its seeds that changed by more than the \
margin says how many it would take. Where that is half of them or fewer, no number is enough: the \
mean alone keeps the gate from passing, and it is inconclusive.

{enough}

## When nothing changed

The share of draws that fail although nothing did, which should be at most 5 %. Three ways for \
nothing to change: every step takes 0.1 % longer, so that each instant of a run differs and no \
figure does; base and the regression of 10 % side by side, each pair turned round by a \
coin, which is noisier than any pair of versions ought to be; and other seeds on the other side, \
which is what a gate without pairing would have to live with. An unchanged simulator gives the \
same bytes, so it cannot fail at all (`--exact`). Below six seeds the gate says nothing.

{null}

## When something did

The share of draws that fail, and those that are inconclusive, which a pipeline does not let \
through either. At a margin of 5 %, a regression of 5 % is at the margin, where a gate that is \
sure of itself may say neither: to catch it, ask for a margin of 2 %.

{caught}

## What the interval holds

How often a two-sided interval of 90 % held the pool's true change ({tenth}); seeds are drawn with \
replacement here. The gate's is of the typical seed: the median change, between two of the seeds \
(reports/coverage.md). The others are of the ratio of means: its linearised variance with \
Student's t, which was the gate's in 0.1.0, and a percentile bootstrap, which was that of \
`marsbench compare`.

{coverage}
"""


def document(pool: Pool) -> tuple[str, str]:
    """The calibration of the gate on this pool: Markdown, and every row as CSV."""
    sizes = [n for n in SEEDS if n <= len(pool.seeds) // 2]
    null, caught = list(_null(pool, sizes)), list(_caught(pool, sizes))
    held = [coverage(pool, TENTH, f, n) for f in FIGURES for n in sizes]
    text = TEXT.format(
        title=pool.title,
        sessions=pool.sessions,
        seeds=len(pool.seeds),
        code=", ".join(pool.code),
        draws=DRAWS,
        confidence=CONFIDENCE,
        tenth=f"`{TENTH}`",
        pairs=pool.pairs,
        measured=pool.measured[LATENCY],
        changes=_changes(pool),
        enough=_enough(pool, null, caught, sizes),
        null=_null_table(null),
        caught=_caught_table(caught),
        coverage=_coverage_table(held),
    )
    return text, _csv([*null, *caught])


def _null(pool: Pool, sizes: Sequence[int]) -> Iterator[Row]:
    for figure in FIGURES:
        for margin in MARGINS:
            rule = rule_of(figure, margin)
            for n in sizes:
                yield row(HARMLESS, rule, n, slower(pool, HARMLESS, figure, n), None)
                yield row(COIN, rule, n, swapped(pool, TENTH, figure, n), None)
                yield row(OTHERS, rule, n, unpaired(pool, figure, n), None)


def _caught(pool: Pool, sizes: Sequence[int]) -> Iterator[Row]:
    for figure in FIGURES:
        for margin in MARGINS:
            rule = rule_of(figure, margin)
            for variation in pool.variations:
                if variation != HARMLESS:
                    change = pool.change(variation, figure)
                    for n in sizes:
                        draw = slower(pool, variation, figure, n)
                        yield row(variation, rule, n, draw, change)


def _changes(pool: Pool) -> str:
    """The pool's true changes, with how much one seed scatters around them."""
    head = ("figure", "mean of the base", "unpaired", *(f"`{v}`" for v in pool.variations))
    lines = []
    for figure in FIGURES:
        base = pool.base(figure)
        cells = [f"{pool.change(v, figure):+.1%} (typical {pool.typical(v, figure):+.1%}, per seed "
                 f"{_scatter(pool, v, figure):.1%})" for v in pool.variations]  # fmt: skip
        spread = float(base.std(ddof=1) / base.mean())
        lines.append((figure.label, f"{base.mean():.4g}", f"{spread:.1%}", *cells))
    return markdown(Table(head, lines))


def _scatter(pool: Pool, variation: str, figure: Figure) -> float:
    base, other = pool.base(figure), pool.figures[variation][figure]
    residuals = other - (1 + pool.change(variation, figure)) * base
    return float(residuals.std(ddof=1) / base.mean())


def _enough(pool: Pool, null: Sequence[Row], caught: Sequence[Row], sizes: Sequence[int]) -> str:
    head = ("figure", "seeds", "false fails, at most", "regression", "caught")
    lines: list[tuple[str | None, ...]] = []
    for figure in FIGURES:
        n = recommended(null, caught, figure, sizes)
        if n is None:
            change = pool.change(TENTH, figure)
            lines.append((figure.label, _estimated(pool, figure), None, f"{change:+.1%}", None))
            continue
        (tenth,) = [r for r in caught if _is(r, figure, n) and r.case == TENTH]
        worst = max(r.failed for r in null if _is(r, figure, n) and r.case != OTHERS)
        assert tenth.change is not None
        lines.append(
            (figure.label, f"**{n}**", _rate(worst), f"{tenth.change:+.1%}", _rate(tenth.failed))
        )
    return markdown(Table(head, lines))


def _estimated(pool: Pool, figure: Figure) -> str:
    """How many seeds it would take; the pool is too small to try.

    Seeds are counted, so the share of the pool's that changed by more than the margin says it all:
    the fewest of which enough lie beyond in CAUGHT of cases.
    """
    from scipy.stats import binom

    beyond = pool.beyond(TENTH, figure, float(MARGINS[0].removesuffix("%")) / 100)
    told = f"{beyond:.0%} of seeds beyond the margin"
    confidence = two_sided(CONFIDENCE)
    for number in range(FEWEST_SEEDS, MOST + 1):
        most = dissent(number, confidence)
        if most is not None and binom.sf(number - most - 1, number, beyond) >= CAUGHT:
            return f"about {number} ({told})"
    return f"none up to {MOST:,} ({told})"


def recommended(
    null: Sequence[Row], caught: Sequence[Row], figure: Figure, sizes: Sequence[int]
) -> int | None:
    """The fewest seeds from which on a figure's verdicts are as good as promised."""
    good = [
        n
        for n in sizes
        if all(r.failed.high <= FALSE_FAILS for r in null if _is(r, figure, n) and r.case != OTHERS)
        and all(r.failed.low >= CAUGHT for r in caught if _is(r, figure, n) and r.case == TENTH)
    ]
    return next((n for n in good if all(m in good for m in sizes if m >= n)), None)


def _is(one: Row, figure: Figure, seeds: int) -> bool:
    return (one.figure, one.seeds, one.margin) == (figure, seeds, MARGINS[0])


def _null_table(rows: Sequence[Row]) -> str:
    lines = []
    for i in range(0, len(rows), 3):
        first = rows[i]
        rates = [_rate(one.failed) for one in rows[i : i + 3]]
        lines.append((first.figure.label, first.margin, str(first.seeds), *rates))
    head = ("figure", "margin", "seeds", f"`{HARMLESS}`", COIN, OTHERS)
    return markdown(Table(head, lines))


def _caught_table(rows: Sequence[Row]) -> str:
    lines = []
    for one in rows:
        assert one.change is not None
        cells = (_rate(one.failed), f"{one.inconclusive.share:.1%}", f"{one.passed.share:.1%}")
        change = f"{one.change:+.1%} (`{one.case}`)"
        lines.append((one.figure.label, change, one.margin, str(one.seeds), *cells))
    head = ("figure", "regression", "margin", "seeds", "failed", "inconclusive", "passed")
    return markdown(Table(head, lines))


def _coverage_table(rows: Sequence[Coverage]) -> str:
    head = ("figure", "seeds", "the gate's interval", "Student's t", "percentile bootstrap")
    lines = []
    for r in rows:
        gate = "none" if r.gate is None else _rate(r.gate)
        cells = (gate, _rate(r.student), _rate(r.bootstrap))
        lines.append((r.figure.label, str(r.seeds), *cells))
    return markdown(Table(head, lines))


def _csv(rows: Sequence[Row]) -> str:
    verdicts = ("failed", "inconclusive", "passed")
    spread = [f"{v}{end}" for v in verdicts for end in ("", "_low", "_high")]
    lines = []
    for one in rows:
        change = None if one.change is None else f"{one.change:.6g}"
        rates = [f"{x:.6g}" for v in verdicts for x in getattr(one, v)]
        lines.append((one.case, str(one.figure), one.margin, one.seeds, change, *rates))
    return as_csv(Table(("case", "figure", "margin", "seeds", "change", *spread), lines))


def _rate(one: Rate) -> str:
    return f"{one.share:.1%} ({one.low:.1%}–{one.high:.1%})"
