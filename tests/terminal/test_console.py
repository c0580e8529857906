"""No number of a table is cut, wherever it is printed."""

from __future__ import annotations

import sys

import pytest
from rich.table import Table

from marsbench.text import console as ours
from marsbench.text.console import PIPED, console

CELLS = [f"{number}.{number:06}" for number in range(20, 40)]


def wide_table() -> Table:
    table = Table()
    table.add_column("one long heading of words that may be broken anywhere")
    for cell in CELLS:
        table.add_column(cell, no_wrap=True)
    table.add_row("a_name_without_a_blank_of_some_length", *CELLS)
    return table


@pytest.mark.parametrize("columns", [None, "80", "20"])
def test_every_number_is_there(columns, monkeypatch, capsys):
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    here = console()
    here.print(wide_table())
    out = capsys.readouterr().out
    assert "…" not in out
    assert all(out.count(cell) >= 2 for cell in CELLS)
    assert here.width == int(columns or PIPED)


def test_a_piped_table_is_not_folded_at_80_columns(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    table = Table("name", *CELLS[:12])
    table.add_row("a few words of a name", *CELLS[:12])
    console().print(table)
    assert "a few words of a name" in capsys.readouterr().out


def test_a_terminal_keeps_its_own_width(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert console().width < PIPED
    assert isinstance(console(), ours.Uncut)
