"""How many seeds a regression takes: as tried, and as counted from the seeds beyond a margin."""

from __future__ import annotations

from collections.abc import Sequence

from marsbench.judge.gate.change import two_sided
from marsbench.judge.gate.values import CONFIDENCE
from marsbench.judge.intervals import FEWEST_SEEDS, dissent
from studies.calibration.rates import OTHERS, PAIRED, Row

FALSE_FAILS, CAUGHT = 0.05, 0.9
MOST = 1000
"""Seeds that anybody would play."""


def enough(found: Row, rows: Sequence[Row]) -> int | None:
    """The fewest seeds from which on the verdicts on a regression are as good as promised.

    found: a row of the regression. rows: of all numbers of seeds, and of nothing changed too.
    """
    own = [r for r in rows if r.check == found.check]
    sizes = sorted({r.seeds for r in own})
    good = [n for n in sizes if all(_is_good(r, found.case) for r in own if r.seeds == n)]
    return next((n for n in good if all(m in good for m in sizes if m >= n)), None)


def _is_good(row: Row, case: str) -> bool:
    """Whether a row keeps its promise; those of other seeds and other regressions promise none."""
    if row.change is None:
        return row.how == OTHERS or row.failed.high <= FALSE_FAILS
    return (row.case, row.how) != (case, PAIRED) or row.failed.low >= CAUGHT


def estimated(share: float) -> int | None:
    """How many seeds it would take, of which such a share lies beyond the margin; None above MOST.

    Seeds are counted, so the share says it all: the fewest of which enough lie beyond in CAUGHT of
    cases. Of half of them or fewer the typical seed itself is within.
    """
    if share <= 0.5:
        return None
    wanted = (n for n in range(FEWEST_SEEDS, MOST + 1) if failing(share, n) >= CAUGHT)
    return next(wanted, None)


def failing(share: float, seeds: int) -> float:
    """How often so many seeds fail, of which such a share lies beyond the margin."""
    from scipy.stats import binom

    most = dissent(seeds, two_sided(CONFIDENCE))
    return 0.0 if most is None else float(binom.sf(seeds - most - 1, seeds, share))
