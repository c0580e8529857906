"""A table once, whatever it is printed on: Markdown and CSV here, a screen in `console`."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from marsbench.text.numbers import UNMEASURED


class Styled(NamedTuple):
    """A cell that a screen shows in a style of rich's, as "red"; elsewhere it is its text."""

    text: str
    style: str


Cell = str | float | Styled | None
"""None: not measured, which each medium says with its own sign."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head.

    head: empty texts, or none at all, for rows that need no heading.
    align: a letter a column, the last one for all that follow; "l" for words, "r" for numbers, a
    capital where a screen breaks no line.
    faint: the numbers of the rows that a screen sets back.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    align: str = "lr"
    caption: str = ""
    faint: Collection[int] = ()

    def letter(self, column: int) -> str:
        """How a column is set: one of l, r, L, R."""
        return self.align[min(column, len(self.align) - 1)]

    def is_number(self, column: int) -> bool:
        """Whether a column is set to the right."""
        return self.letter(column) in "rR"

    @property
    def texts(self) -> list[tuple[str, ...]]:
        """The rows as words, without styles."""
        return [tuple(map(text_of, row)) for row in self.rows]


def text_of(cell: Cell) -> str:
    """A cell as words."""
    if isinstance(cell, Styled):
        return cell.text
    return UNMEASURED if cell is None else str(cell)


def markdown(table: Table) -> str:
    """A table for Markdown; a bar in a cell becomes another sign that looks like it."""
    rule = ["--:" if table.is_number(column) else "---" for column in range(len(table.head))]
    rows = [table.head, rule, *table.texts]
    return "\n".join(f"| {' | '.join(cell.replace('|', '∣') for cell in row)} |" for row in rows)


def as_csv(table: Table) -> str:
    """A table as CSV; a cell that was not measured is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.head)
    writer.writerows(table.rows)
    return text.getvalue()
