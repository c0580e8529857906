"""The document as LaTeX: nothing in it is taken for markup, and a TeX sets it."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from marsbench.report import latex, pages
from marsbench.report.canvas import to_bytes
from marsbench.report.document import Commands, Document, Points, Section, Text
from marsbench.text.tables import Table

ODD = (
    r"""50 % of $x_1^2$ & #3 {a} [b] *c* ~ \ <d> |e| "f" 'g' --h ,,i ''j α × ÷ ≤ ∞ é – … “k” 漢 ▁"""
)


@pytest.fixture(scope="module")
def told(report):
    return pages.as_latex(report, "report_files")


@pytest.fixture(scope="module")
def odd(report):
    """A document of everything that a name may hold, and a figure."""
    table = Table(("[head]", "*n*"), [(ODD, "1"), (f"`{ODD}`", None)], "lr", ODD)
    commands = Commands((f"a '{ODD}' \\", "  --b"))
    blocks = (Text(ODD), Points((f"[{ODD}",)), commands, table, report.plates()[0])
    return Document(ODD, f"`{ODD}`", (Section("odd", ODD, blocks),))


def environments(text):
    """What is begun and not ended, in order; raises where one ends that was not begun last."""
    open_ones = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if what == "begin":
            open_ones.append(name)
        else:
            assert open_ones.pop() == name
    return open_ones


def depth(text):
    """Braces that are open at the end, escaped ones left out."""
    bare = re.sub(r"\\[{}%\\]|%.*", "", text)
    return bare.count("{") - bare.count("}")


def test_what_is_begun_is_ended_and_what_is_opened_is_closed(told, report, odd):
    for text in (told, pages.as_latex(odd, None)):
        assert environments(text) == []
        assert depth(text) == 0
    assert told.count(r"\section{") == len(report.sections)
    assert told.count(r"\includegraphics") == len(report.plates())


def test_each_row_has_as_many_cells_as_its_table_has_columns(told):
    for table in re.findall(r"\\begin\{longtable\}\{(.*)\}\n((?:.*\n)*?)\\end\{longtable\}", told):
        columns = re.sub(r">\{.*?\}p\{[\d.]+pt\}", "p", table[0])
        rows = [line for line in table[1].splitlines() if line.endswith(r"\\")]
        rows = [row for row in rows if not row.startswith(r"\caption")]
        assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(columns)}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("50 % of A_1 & #3", r"50 \% of A\_1 \& \#3"),
        (r"\x{~^}", r"\textbackslash{}x\{\textasciitilde{}\textasciicircum{}\}"),
        ("[1] a--b", r"{[}1{]} a-{}-b"),
        ("α × 2, – é", r"\ensuremath{\alpha} \texttimes{} 2, -- é"),
        ("漢\x07", r"\codepoint{6F22}"),
        ("run `--set a_b='1'` now", "run \\texttt{-{}-set a\\_\\allowbreak{}b=\\textquotesingle{}1"
         "\\textquotesingle{}} now"),
    ],
)  # fmt: skip
def test_text_is_text(words, told):
    assert latex.text(words) == told


def test_commands_keep_their_lines_and_the_spaces_before_them():
    told = latex.commands(("a \\", "  b"))
    assert told == "\\texttt{a \\textbackslash{}}\\\\\n\\ \\ \\texttt{b}"


def test_a_table_that_fits_has_columns_of_their_own_width_and_one_that_does_not_is_wrapped():
    assert latex.columns(Table(("a", "b"), [("x", "1")])) == latex.Columns(8.0, "lr")
    long = latex.columns(Table(("a", "b"), [("word " * 60, "1")]))
    widths = [float(width) for width in re.findall(r"p\{([\d.]+)pt\}", long.told)]
    assert len(widths) == 2
    assert sum(widths) + 2 * latex.GAP == pytest.approx(latex.WIDE, abs=1)
    many = latex.columns(Table(["a"] * 24, [["1234567"] * 24]))
    assert many.size < 8.0


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX is installed here")
def test_a_tex_sets_it(report, odd, tmp_path):
    plate = odd.plates()[0]
    figure = to_bytes(plate.drawing.figure, "pdf")
    (tmp_path / "odd_files").mkdir()
    (tmp_path / "odd_files" / f"{plate.name}.pdf").write_bytes(figure)
    texts = {"report": pages.as_latex(report, None), "odd": pages.as_latex(odd, "odd_files")}
    for name, text in texts.items():
        (tmp_path / f"{name}.tex").write_text(text, encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, encoding="latin-1", check=False
        )
        assert done.returncode == 0, done.stdout[-2000:]
        assert "Missing character" not in done.stdout
