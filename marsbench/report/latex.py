"""What LaTeX needs to be told: text with nothing in it that is markup, and tables with widths.

Plain LaTeX that pdfTeX, XeTeX and LuaTeX set, of packages that every TeX has, so that parts of it
can be pasted into a paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from marsbench.text.tables import Table
from marsbench.text.words import BREAK, breakable, unbroken

SPECIAL = {
    **{char: f"\\{char}" for char in "{}$&#_%"},
    # At the begin of a row these would be arguments of the row before.
    **{char: f"{{{char}}}" for char in "[]*"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "\n": " ",
    "\N{NO-BREAK SPACE}": "~",
    BREAK: r"\allowbreak{}",
    "–": "--",
    "—": "---",
    "−": r"\ensuremath{-}",
    "…": r"\ldots{}",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "›": r"\guilsinglright{}",
    "‹": r"\guilsinglleft{}",
    "·": r"\textperiodcentered{}",
    "×": r"\texttimes{}",
    "÷": r"\textdiv{}",
    "±": r"\textpm{}",
    "∣": r"\textbar{}",
    "²": r"\texttwosuperior{}",
    "⁻": r"\textsuperscript{--}",
    "⁵": r"\textsuperscript{5}",
    "µ": r"\textmu{}",
    "°": r"\textdegree{}",
    **{
        char: rf"\ensuremath{{\{name}}}"
        for char, name in {
            "→": "rightarrow",
            "∞": "infty",
            "≈": "approx",
            "≤": "leq",
            "≥": "geq",
            "α": "alpha",
            "β": "beta",
            "λ": "lambda",
            "μ": "mu",
            "ρ": "rho",
            "σ": "sigma",
            "τ": "tau",
            "Σ": "Sigma",
            "Δ": "Delta",
            "√": "surd",
        }.items()
    },
}
"""By character. What is neither here nor a letter of Europe's becomes `\\codepoint`."""
_ACCENTED = range(0xC0, 0x180)
"""Letters that fonts in T1 have."""
_LIGATURE = re.compile(r"([-,'])(?=\1)")
"""Signs that become another one when they stand twice."""
_CODE = re.compile(r"`([^`]*)`")
_AFTER = re.compile(r"(?<=\w)([/=:_-])(?=\w)")
"""Where a line of code may break."""
UNFIT = frozenset('%#{}\\~^$&"')
"""Characters that the name of a folder of figures cannot have."""

WIDE = 506
"""Points: the text of a page, 7 inches."""
LETTER = 0.53
"""Of its size, what a letter takes, about."""
SIZES = (8.0, 7.0, 6.0, 5.0)
"""Points of type, the first at which each column has room for its longest part."""
GAP = 6.0
"""Points between columns."""


@dataclass(frozen=True, slots=True)
class Columns:
    """How a table is set: the size of its type in points, and the letters of its columns."""

    size: float
    told: str


def text(words: str) -> str:
    """Text as LaTeX's, with `code` in type of its own."""
    parts = enumerate(_CODE.split(words))
    return "".join(code(part) if number % 2 else plain(part) for number, part in parts if part)


def plain(words: str) -> str:
    """Text with nothing in it that LaTeX would take for anything else."""
    return "".join(map(_char, _LIGATURE.sub("\\1\0", words)))


def code(words: str) -> str:
    """Code: a quote is straight, and a line may break behind a sign."""
    told = _straight(_AFTER.sub(rf"\1{BREAK}", words))
    return rf"\texttt{{{told}}}"


def commands(lines: Iterable[str]) -> str:
    """Lines of code, one below the other, each with the spaces that it begins with."""
    told = [(len(line) - len(line.lstrip()), line.strip()) for line in lines]
    return "\\\\\n".join("\\ " * blanks + code(line) for blanks, line in told)


def _straight(words: str) -> str:
    return plain(words.replace("'", "\1")).replace("\1", r"\textquotesingle{}")


def _char(char: str) -> str:
    if char == "\0":
        return "{}"
    if char in SPECIAL:
        return SPECIAL[char]
    if char == "\1" or " " <= char <= "\x7e" or ord(char) in _ACCENTED:
        return char
    return rf"\codepoint{{{ord(char):04X}}}" if char.isprintable() else ""


def cell(words: str) -> str:
    """A cell, with places to break in words that are too long for a column."""
    return text(breakable(words))


def columns(table: Table) -> Columns:
    """Columns as wide as their texts where the page has room for that, else wrapped."""
    heads = [head for head in table.head if head]
    count = len(table.texts[0]) if table.texts else len(heads)
    told = [[row[number] for row in [*_head(table), *table.texts]] for number in range(count)]
    whole = [max(map(len, cells)) + 1 for cells in told]
    least = [
        max(len(part) for one in cells for part in unbroken(one) or [""]) + 1 for cells in told
    ]
    size = next((size for size in SIZES if sum(least) <= _letters(size, count)), SIZES[-1])
    sides = ["r" if table.is_number(number) else "l" for number in range(count)]
    room = _letters(size, count)
    if sum(whole) <= room:
        return Columns(size, "".join(sides))
    wide = _shared(least, whole, room)
    return Columns(size, "".join(_wrapped(*one, size) for one in zip(sides, wide, strict=True)))


def _head(table: Table) -> list[Sequence[str]]:
    return [table.head] if any(table.head) else []


def _letters(size: float, count: int) -> float:
    return (WIDE - GAP * count) / (size * LETTER)


def _wrapped(side: str, letters: float, size: float) -> str:
    ragged = r"\raggedleft" if side == "r" else r"\raggedright"
    return rf">{{{ragged}\arraybackslash}}p{{{letters * size * LETTER:.1f}pt}}"


def _shared(least: Sequence[int], whole: Sequence[int], room: float) -> list[float]:
    """What the least leaves goes to all in equal parts until each has its whole."""
    found = [float(letters) for letters in least]
    rest = max(0.0, room - sum(found))
    order = sorted(range(len(found)), key=lambda number: (whole[number] - least[number], number))
    for done, number in enumerate(order):
        more = min(whole[number] - found[number], rest / (len(order) - done))
        found[number] += more
        rest -= more
    return found
