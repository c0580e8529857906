"""Numbers as cells of Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

UNMEASURED = "–"


def markdown(rows: Iterable[Sequence[str]], right: int = 1) -> str:
    """A Markdown table; the first row heads it, columns from `right` on are numbers."""
    head, *body = rows
    rule = ["---"] * right + ["--:"] * (len(head) - right)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


def short(value: float | None) -> str:
    """ "1,234", "56.7", "0.12"."""
    if value is None:
        return UNMEASURED
    digits = next((d for d, least in ((0, 100), (1, 10), (2, 0.1)) if abs(value) >= least), 4)
    return f"{value:,.{digits}f}" if value else "0"


def counted(number: float | None) -> str:
    """A mean of counts: "0", "0.33", "3", "1,234"."""
    if number is None:
        return UNMEASURED
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def percent(share: float | None) -> str:
    """ "63%"."""
    return UNMEASURED if share is None else f"{share:.0%}"


def times(ratio: float | None, digits: int = 2) -> str:
    """ "1.25×"."""
    return UNMEASURED if ratio is None else f"{ratio:.{digits}f}×"
