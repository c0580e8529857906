"""Numbers as text: as many digits as a reader needs."""

from __future__ import annotations

from collections.abc import Sequence

UNMEASURED = "–"


def short(value: float | None) -> str:
    """1,234; 56.7; 0.12."""
    if value is None:
        return UNMEASURED
    if value == 0:
        return "0"
    digits = next((d for d, least in ((0, 100), (1, 10), (2, 0.1)) if abs(value) >= least), 4)
    return f"{value:,.{digits}f}"


def percent(share: float | None) -> str:
    """63%."""
    return UNMEASURED if share is None else f"{share:.0%}"


def times(ratio: float | None) -> str:
    """1.25×."""
    return UNMEASURED if ratio is None else f"{ratio:.2f}×"


def count(number: int, thing: str) -> str:
    """ "1 run", "557 runs"."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def listed(items: Sequence[str], most: int | None = None) -> str:
    """ "a, b and c"; of more than `most`, the first ones and how many others."""
    shown = list(items[:most])
    if len(items) > len(shown):
        return f"{', '.join(shown)} and {len(items) - len(shown)} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def each(values: Sequence[str]) -> list[str]:
    """Every value once, in order of first appearance."""
    return list(dict.fromkeys(values))
