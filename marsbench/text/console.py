"""The console that every table is printed on: no number is ever cut."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, Group
from rich.measure import Measurement
from rich.table import Table

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


def _tables(objects: Iterable[Any]) -> Iterator[Table]:
    for each in objects:
        if isinstance(each, Table):
            yield each
        elif isinstance(each, Group):
            yield from _tables(each.renderables)


def _least(here: Console, table: Table) -> int:
    """The width below which a column that must not break would be cut; words are folded."""
    for column in table.columns:
        column.overflow = "fold"
    return Measurement.get(here, here.options.update(max_width=100_000), table).minimum
