"""The document as PDF, HTML and Markdown: whole, self-contained, the same bytes again."""

from __future__ import annotations

import re

import pytest

from marsbench.report import pages
from marsbench.report.chapters import CHAPTERS

FIGURES = [name for chapter in CHAPTERS.values() for name in chapter.figures]


@pytest.fixture(scope="module")
def html(report):
    return pages.as_html(report)


@pytest.fixture(scope="module")
def pdf(report):
    return pages.as_pdf(report)


@pytest.fixture(scope="module")
def markdown(report):
    return pages.as_markdown(report, "report_files")


def test_every_section_is_there_in_order(report):
    ids = [section.id for section in report.sections]
    assert ids == ["first-page", "summary", "cautions", "setup", *CHAPTERS, "figures"]


def test_html_refers_to_nothing_outside_itself(html):
    assert "http" not in html
    assert not re.search(r"<(script|link|img|iframe)\b|@import|src=|url\((?!#)", html)


def test_html_has_every_figure_as_svg_and_every_section(html, report):
    for name in FIGURES:
        assert f'<figure id="figure-{name}">\n<svg' in html
    for section in report.sections:
        assert f'<section id="{section.id}">' in html


def test_ids_in_html_are_of_one_figure_each(html):
    found = re.findall(r'\bid="([^"]+)"', html)
    assert len(found) == len(set(found))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', html)) <= set(found)


def test_markdown_shows_each_figure_from_its_folder(markdown):
    for name in FIGURES:
        assert f"](report_files/{name}.svg)" in markdown


def test_markdown_without_figures_has_no_image(report):
    assert "![" not in pages.as_markdown(report, None)


def test_rows_of_markdown_tables_have_as_many_cells_as_their_heads(markdown):
    for table in re.findall(r"(?:^\|.*\n)+", markdown, re.M):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_under_each_figure_stands_what_makes_it_again(html, markdown):
    for name in FIGURES:
        command = f"marsbench report small --figure {name} -o {name}.svg"
        assert command in html
        assert command in markdown


def test_all_fonts_are_in_the_pdf(pdf):
    described = pdf.count(b"/Type/FontDescriptor")
    assert described > 1
    assert described == len(re.findall(rb"/FontFile[23]?\s", pdf))
    assert b"LibertinusSerif" in pdf
    assert b"DejaVuSans" in pdf


def test_a_pdf_bears_no_date_of_today(pdf):
    assert not re.search(rb"D:20[2-9]\d", pdf)


def test_the_same_runs_give_the_same_bytes(report, html, pdf, markdown):
    assert pages.as_html(report) == html
    assert pages.as_markdown(report, "report_files") == markdown
    assert pages.as_pdf(report) == pdf


@pytest.mark.parametrize(
    "text", ["#let x = 1 *b* _c_ $d$ @e <f>", 'a "quote" \\ back', "ρ × α – ≤"]
)
def test_no_text_is_taken_for_markup(text):
    assert pages.typst_text(text) == f"#{pages.typst_string(text)}"
    assert "<f>" not in pages.html_text(text)


def test_code_in_text_is_code():
    assert pages.html_text("run `a < b` now") == "run <code>a &lt; b</code> now"
    assert pages.typst_text("run `it`") == '#"run "#raw("it")'
