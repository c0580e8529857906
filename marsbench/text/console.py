"""The console that every table is printed on: no number is ever cut."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as Drawn

from marsbench.text.tables import Cell, Styled, Table, text_of

PIPED = 240
"""Columns where neither a terminal nor COLUMNS says how many there are."""


class Uncut(Console):
    """A console on which a table that is too wide is folded, and stands over where it cannot be."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Prints as rich does, on a wider line where a table needs one."""
        own = self.width
        needed = max((_least(self, table) for table in _tables(objects)), default=own)
        if needed <= own:
            super().print(*objects, **options)
            return
        self.width = needed
        try:
            super().print(*objects, **options)
        finally:
            self.width = own


def console() -> Uncut:
    """Standard output: as wide as the terminal or COLUMNS says, else wide enough for all."""
    is_sized = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Uncut(width=None if is_sized else PIPED)


def drawn(table: Table, gap: int = 1) -> Drawn:
    """The table for a screen: a rule under its head; without a head, columns alone.

    gap: characters between its columns, where it has a head.
    """
    if not any(table.head):
        found = Drawn.grid(padding=(0, 2))
    else:
        found = Drawn(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap, 0, 0))
    for column, head in enumerate(table.head or [""] * len(table.rows[0])):
        found.add_column(
            escape(head),
            justify="right" if table.is_number(column) else "left",
            no_wrap=table.letter(column).isupper(),
        )
    for number, row in enumerate(table.rows):
        found.add_row(*map(_marked, row), style="dim" if number in table.faint else None)
    return found


def _marked(cell: Cell) -> str:
    text = escape(text_of(cell))
    return f"[{cell.style}]{text}[/]" if isinstance(cell, Styled) else text


def _tables(objects: Iterable[Any]) -> Iterator[Drawn]:
    for each in objects:
        if isinstance(each, Drawn):
            yield each
        elif isinstance(each, Group):
            yield from _tables(each.renderables)


def _least(here: Console, table: Drawn) -> int:
    """The width below which a column that must not break would be cut; words are folded."""
    for column in table.columns:
        column.overflow = "fold"
    return Measurement.get(here, here.options.update(max_width=100_000), table).minimum
