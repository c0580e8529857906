"""The coverage as Markdown and CSV."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from marsbench.judge.intervals.seeds import CONFIDENCE, FEWEST_SEEDS, dissent, held
from marsbench.text.numbers import UNMEASURED, percent
from marsbench.text.tables import Table, as_csv, markdown
from studies.coverage.families import FAMILIES
from studies.coverage.measure import (
    DRAWS,
    DRAWS_OF_OTHERS,
    Row,
    Said,
    error,
    found,
    of_curves,
    of_equals,
    others,
    ours,
)
from studies.coverage.others import OTHERS
from studies.coverage.text import TEXT

SEEDS = (2, 3, 4, 5, 6, 8, 9, 10, 12, 17, 20, 30)
GATE = 0.9
"""What the gate asks of an interval: 95 % on each side."""
FOUND = ((0.95, 0.03), (0.95, 0.1), (0.9, 0.1), (0.9, 0.2), (0.8, 0.2), (0.8, 0.5), (0.5, 0.5))
"""True ratios, and the CV of one seed's ratio around each."""

Step = Callable[[str], object]
"""Told of each distribution that is begun."""


def document(step: Step) -> tuple[str, str]:
    """Markdown, and every row as CSV."""
    mine = list(_ours(step))
    tried = list(_others(step))
    said = [one for family in FAMILIES for one in of_equals(family, SEEDS)]
    text = TEXT.format(
        draws=DRAWS,
        draws_of_others=DRAWS_OF_OTHERS,
        noise=error(1 - CONFIDENCE, DRAWS_OF_OTHERS),
        fewest=FEWEST_SEEDS,
        error=error(CONFIDENCE, DRAWS),
        rule=_rule(),
        ours=_table(mine),
        lowest=_lowest(mine),
        others=_extremes(tried),
        each=_each(tried),
        said=_said(said),
        found=_found(),
    )
    return text, _csv([*mine, *tried])


def _ours(step: Step) -> Iterator[Row]:
    for family in FAMILIES:
        step(family.name)
        yield from ours(family, SEEDS)
    yield from of_curves(SEEDS)


def _others(step: Step) -> Iterator[Row]:
    for family in FAMILIES:
        step(f"{family.name}, other intervals")
        yield from others(family, OTHERS, SEEDS)


def _rule() -> str:
    head = ("seeds", "may say otherwise", "the interval holds", "the gate: may say otherwise",
            "each bound holds")  # fmt: skip
    numbers = (*range(1, 21), 25, 30, 40)
    rows = [(str(n), *_level(n, CONFIDENCE), *_bound(n)) for n in numbers]
    return markdown(Table(head, rows, "r"))


def _level(number: int, confidence: float) -> tuple[str, str]:
    level = held(number, confidence)
    most = dissent(number, confidence)
    return ("no verdict", UNMEASURED) if level is None else (str(most), f"{level:.1%}")


def _bound(number: int) -> tuple[str, str]:
    level = held(number, GATE)
    most = dissent(number, GATE)
    return ("no verdict", UNMEASURED) if level is None else (str(most), f"{(1 + level) / 2:.1%}")


def _table(rows: Sequence[Row]) -> str:
    """Coverage of the typical seed's interval: a line for each distribution and quantity."""
    by: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one in rows:
        by[one.family, one.what].append(share(one.held))
    exact = [share(held(number)) for number in SEEDS]
    head = ("distribution of a seed's figure", "of", *map(str, SEEDS))
    theory = ("**by theory, without ties**", "", *exact)
    return markdown(Table(head, [theory, *((*key, *cells) for key, cells in by.items())], "llr"))


def _lowest(rows: Iterable[Row]) -> str:
    """The lowest coverage of all, and where."""
    one = min((row for row in rows if row.held is not None), key=lambda row: row.held or 0.0)
    return f"{share(one.held)} ({one.family}, {one.what}, {one.seeds} seeds)"


def _extremes(rows: Sequence[Row]) -> str:
    """Of each other interval, the lowest coverage over all distributions, and the highest."""
    by: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for one in rows:
        if one.held is not None:
            by[one.method, one.seeds].append(one.held)
    lines = [(one.name, *(_range(by[one.name, number]) for number in SEEDS)) for one in OTHERS]
    return markdown(Table(("interval", *map(str, SEEDS)), lines))


def _range(shares: Sequence[float]) -> str:
    return f"{min(shares) * 100:.0f}–{max(shares) * 100:.0f}" if shares else UNMEASURED


def _each(rows: Sequence[Row]) -> str:
    by: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one in rows:
        by[one.family, one.method].append(share(one.held))
    head = ("distribution of a seed's figure", "interval", *map(str, SEEDS))
    return markdown(Table(head, [(*key, *cells) for key, cells in by.items()], "llr"))


def _said(rows: Sequence[Said]) -> str:
    """How often equal sides are told apart, now and before; over all distributions."""
    lines = []
    for name in ("before", "now"):
        cells = ([getattr(r, name) for r in rows if r.seeds == number] for number in SEEDS)
        told = {"before": "0.1.0: percentile bootstrap", "now": "now: typical seed and mean"}[name]
        lines.append((told, *(_percents(cell) for cell in cells)))
    return markdown(Table(("rule", *map(str, SEEDS)), lines))


def _percents(shares: Sequence[float]) -> str:
    return f"{min(shares) * 100:.1f}–{max(shares) * 100:.1f}" if any(shares) else "0"


def _found() -> str:
    numbers = [n for n in SEEDS if n >= FEWEST_SEEDS]
    head = ("true ratio", "CV of one seed's ratio", *map(str, numbers))
    lines = []
    for ratio, spread in FOUND:
        cells = (f"{found(ratio, spread, number):.0%}" for number in numbers)
        lines.append((f"{ratio:g}", f"{spread:g}", *cells))
    return markdown(Table(head, lines, "r"))


def share(value: float | None) -> str:
    """In per cent, to a tenth."""
    return percent(value, 1, "")


def _csv(rows: Iterable[Row]) -> str:
    lines = []
    for one in rows:
        theory = held(one.seeds) if one.what else None
        exact = None if theory is None else f"{theory:.6g}"
        lines.append((*one[:5], one.held, one.above, one.below, exact))
    return as_csv(Table((*Row._fields, "theory"), lines))
