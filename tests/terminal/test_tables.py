"""Numbers and tables are written once, and say the same on every medium."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

import marsbench
from marsbench.text.console import drawn
from marsbench.text.numbers import mean_count, percent, plain, seconds, short, span, times
from marsbench.text.options import as_set, options_in, words_of
from marsbench.text.tables import Styled, Table, as_csv, markdown

TABLE = Table(
    ("backend", "mean s", "verdict"),
    [("fcfs", None, Styled("worse", "red")), ("a|b [x]", 1.5, "")],
    "LRl",
)


def printed(table: Table, width: int = 80, **options: object) -> str:
    text = io.StringIO()
    Console(file=text, width=width, **options).print(drawn(table))  # type: ignore[arg-type]
    return text.getvalue()


def test_a_table_as_markdown() -> None:
    assert markdown(TABLE).splitlines() == [
        "| backend | mean s | verdict |",
        "| --- | --: | --- |",
        "| fcfs | – | worse |",
        "| a∣b [x] | 1.5 |  |",
    ]


def test_a_table_as_csv_has_an_empty_cell_where_nothing_was_measured() -> None:
    table = Table(("a", "b"), [("x", None), ("y", 0.0), ("z", True)])
    assert as_csv(table) == "a,b\nx,\ny,0.0\nz,True\n"


def test_a_table_on_a_screen_takes_no_cell_for_markup() -> None:
    head, _, *rows = (line.split() for line in printed(TABLE).splitlines() if line.strip())
    assert head == ["backend", "mean", "s", "verdict"]
    assert rows == [["fcfs", "–", "worse"], ["a|b", "[x]", "1.5"]]


def test_a_style_is_of_its_cell_alone_and_of_a_screen_alone() -> None:
    text = printed(TABLE, force_terminal=True, color_system="standard")
    assert "\x1b[31mworse\x1b[0m" in text
    assert text.count("\x1b[31m") == 1


def test_a_faint_row_is_set_back() -> None:
    table = Table(("a",), [("x",), ("y",)], "l", faint=(1,))
    text = printed(table, force_terminal=True, color_system="standard")
    assert re.search(r"\x1b\[2m\s*y", text)
    assert not re.search(r"\x1b\[2m\s*x", text)


def test_a_capital_column_is_broken_nowhere() -> None:
    rows = [("two words", "three short words")]
    assert "two words" in printed(Table(("a", "b"), rows, "Ll"), width=20)
    assert "two words" not in printed(Table(("a", "b"), rows, "lL"), width=20)


def test_rows_without_a_head_have_no_rule() -> None:
    assert "─" not in printed(Table((), [("on", "h200")], "l"))
    assert "─" in printed(Table(("a", "b"), [("on", "h200")], "l"))


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        (short, None, "–"), (short, 0, "0"), (short, 0.05, "0.0500"), (short, 0.12, "0.12"),
        (short, 56.7, "56.7"), (short, -1234.5, "-1,234"),
        (seconds, 0.05, "0.0500"), (seconds, 0.12, "0.120"), (seconds, 56.7, "56.70"),
        (seconds, 1234.5, "1234"),
        (times, 1.25, "1.25×"), (times, 12.34, "12.3×"), (times, 1234.0, "1,234×"),
        (percent, 0.625, "62%"), (plain, 1500.0, "1,500"), (plain, 0.5, "0.5"),
        (mean_count, 0.333, "0.33"), (mean_count, 1234.0, "1,234"), (mean_count, 0.0, "0"),
    ],
)  # fmt: skip
def test_each_kind_of_number_has_its_digits(form, value, text) -> None:  # type: ignore[no-untyped-def]
    assert form(value) == text


def test_a_span_of_equal_texts_is_told_once() -> None:
    assert span([0.621, 0.624], percent) == "62%"
    assert span([2, 6], str) == "2 to 6"
    assert span([], percent) == "–"


def test_options_become_words_and_words_options() -> None:
    values = {"--alpha": [1.5, 2], "--check": True, "--seed": 0, "--load": None, "--quiet": False}
    words = [word for name, value in values.items() for word in words_of(name, value)]
    assert words == ["--alpha", "1.5", "--alpha", "2", "--check", "--seed", "0"]
    assert [*options_in(words)][1:] == [("--alpha", "2"), ("--check",), ("--seed", "0")]
    assert [as_set(v) for v in (None, True, (1, 2), "a", 0.5)] == [
        "none",
        "true",
        "1,2",
        "a",
        "0.5",
    ]


WRITERS = {"rich.table": "console.py", '"--:"': "tables.py", '= "–"': "numbers.py"}


@pytest.mark.parametrize("sign", WRITERS)
def test_nobody_else_writes_tables(sign: str) -> None:
    root = Path(marsbench.__file__).parent
    found = {path.name for path in root.rglob("*.py") if sign in path.read_text("utf-8")}
    # The paper has no number there: that is not the same as one that was not measured.
    assert found - {"claims.py"} == {WRITERS[sign]}
