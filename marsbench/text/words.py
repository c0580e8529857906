"""Numbers as text: as many digits as a reader needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

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
    """1.25×; 12.3×; 1,234×."""
    return (
        UNMEASURED
        if ratio is None
        else f"{ratio:,.{2 if ratio < 10 else 1 if ratio < 100 else 0}f}×"
    )


def span(values: Sequence[float], form: Callable[[float | None], str]) -> str:
    """ "62% to 100%"; one value where all look alike."""
    if not values:
        return UNMEASURED
    low, high = form(min(values)), form(max(values))
    return low if low == high else f"{low} to {high}"


def count(number: int, thing: str) -> str:
    """ "1 run", "557 runs"."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def listed(items: Sequence[str], most: int | None = None) -> str:
    """ "a, b and c"; of more than `most`, the first ones and how many others."""
    shown = list(items[:most])
    if len(items) > len(shown):
        return f"{', '.join(shown)} and {len(items) - len(shown)} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def few(items: Sequence[str], most: int = 3) -> str:
    """All of them, or the first ones and how many more, where that spares two or more."""
    return listed(items, most) if len(items) > most + 1 else listed(items)


def quoted(names: Sequence[str]) -> list[str]:
    """Names as code."""
    return [f"`{name}`" for name in names]


def each(values: Sequence[str]) -> list[str]:
    """Every value once, in order of first appearance."""
    return list(dict.fromkeys(values))


_PIECES = re.compile(r"[^\s\-_/,=:]*[\s\-_/,=:]?")


def pieces(text: str, most: int) -> list[str]:
    """The text in parts between which a line may break, none longer than `most` letters."""
    found = [part for part in _PIECES.findall(text) if part]
    return [part[i : i + most] for part in found for i in range(0, len(part), most)]


def wrapped(text: str, most: int, most_lines: int = 3) -> str:
    """The text on lines of at most `most` letters, broken after spaces, dashes and the like.

    What is longer than so many lines ends in an ellipsis: tables have names whole.
    """
    lines = [line for given in text.split("\n") for line in _lines(given, most)]
    if len(lines) > most_lines:
        lines = [*lines[: most_lines - 1], lines[most_lines - 1][: most - 1] + "…"]
    return "\n".join(lines)


def _lines(text: str, most: int) -> list[str]:
    lines = [""]
    for part in pieces(text, most):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > most:
            lines.append("")
        lines[-1] += part
    return [line.rstrip() for line in lines]
