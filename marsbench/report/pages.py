"""A document as PDF, HTML, Markdown or LaTeX: the same bytes for the same runs."""

from __future__ import annotations

import html
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from marsbench.report import latex
from marsbench.report.canvas import to_bytes
from marsbench.report.document import Block, Document, Plate
from marsbench.text.tables import Table, markdown
from marsbench.text.words import breakable, unbroken

if TYPE_CHECKING:
    from jinja2 import Environment

_CODE = re.compile(r"`([^`]*)`")
_OPTION = re.compile(r"--(?=\w)")
_ID = re.compile(r'(\bid="|href="#|url\(#)')
CREATED = 0
"""The time of day that a PDF says it was made at: no page may depend on it."""


def as_markdown(report: Document, files: str | None) -> str:
    """Markdown that shows figures from the folder `files` beside it, or none."""
    text = _environment().get_template("report.md.j2").render(report=report, files=files)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def as_latex(report: Document, files: str | None) -> str:
    """LaTeX that shows figures from the folder `files` beside it, or none."""
    found = _environment().get_template("report.tex.j2").render(report=report, files=files)
    return re.sub(r"\n{3,}", "\n\n", found)


def as_html(report: Document) -> str:
    """One file that refers to no other, with figures as SVG in it."""
    return _environment().get_template("report.html.j2").render(report=report)


def as_pdf(report: Document) -> bytes:
    """A4, fonts embedded, set by typst with the fonts that come with it and matplotlib."""
    pages = typeset(report, "pdf")
    return pages[0]


def typeset(
    report: Document, form: Literal["pdf", "png"], dots_per_inch: float = 144
) -> list[bytes]:
    """The document by typst as "pdf" (one part) or "png" (a part a page)."""
    import typst

    source = _environment().get_template("report.typ.j2").render(report=report)
    with tempfile.TemporaryDirectory(prefix="marsbench-report-") as place:
        folder = Path(place)
        for plate in report.plates():
            # The text stays text: typst has the font, so it can be searched and copied.
            svg = to_bytes(plate.drawing.figure, "svg", text=True)
            (folder / f"{plate.name}.svg").write_bytes(svg)
        main = folder / "report.typ"
        main.write_text(source, encoding="utf-8")
        made = typst.compile(
            str(main), format=form, font_paths=[_fonts()], ignore_system_fonts=True,
            timestamp=CREATED, ppi=dots_per_inch,
        )  # fmt: skip
    return list(made) if isinstance(made, list) else [bytes(made or b"")]


def _fonts() -> str:
    """Where matplotlib keeps DejaVu, in which figures are set."""
    import matplotlib as mpl

    return str(Path(mpl.get_data_path()) / "fonts" / "ttf")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    found = Environment(
        loader=PackageLoader("marsbench.report"),
        autoescape=select_autoescape(("html.j2",), default=False),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    found.filters.update(_FILTERS)
    return found


def typst_text(text: str) -> str:
    """Text for typst's markup: literal strings, so that nothing in it is markup."""
    # Without a joiner an option might be broken after its dashes.
    parts = _CODE.split(_OPTION.sub("--\u2060", text))
    return "".join(
        f"#raw({typst_string(part)})" if number % 2 else f"#{typst_string(part)}"
        for number, part in enumerate(parts)
        if part
    )


def typst_string(text: str) -> str:
    """A string of typst's own: its escapes are JSON's but for characters beyond ASCII."""
    return json.dumps(text, ensure_ascii=False)


def html_text(text: str) -> Any:
    """Text for HTML, code in its own element."""
    from markupsafe import Markup

    return Markup(_CODE.sub(r"<code>\1</code>", html.escape(text, quote=False)))  # noqa: S704


def inline_svg(plate: Plate) -> Any:
    """The figure as an element of HTML: ids of its own, no prologue, no namespace to look up."""
    from markupsafe import Markup

    text = to_bytes(plate.drawing.figure, "svg").decode()
    text = text[text.index("<svg") :].replace("xlink:href", "href")
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    text = _ID.sub(rf"\g<1>{plate.name}-", text)
    label = html.escape(f"{plate.drawing.headline} {plate.drawing.caption}")
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))  # noqa: S704


def typst_columns(table: Table) -> str:
    """What typst measures to set a table's widths: by column its longest texts and parts.

    A part is what no line may break in. Letters differ in width, so it is the `MEASURED` longest
    by number of letters that are measured. Heads are bold.
    """
    columns = []
    for number, head in enumerate(table.head):
        cells = [row[number] for row in table.texts]
        parts = [part for cell in cells for part in unbroken(cell)]
        columns.append(
            f"(cells: {_measured(cells)}, head: {_measured((), [head])}, "
            f"parts: {_measured(parts, unbroken(head))})"
        )
    return f"({', '.join(columns)},)"


MEASURED = 6


def _measured(texts: Iterable[str], heads: Iterable[str] = ()) -> str:
    longest = sorted(set(texts), key=lambda text: (-len(text), text))[:MEASURED]
    told = [*map(typst_string, longest), *(f"strong({typst_string(head)})" for head in heads)]
    return f"({''.join(f'{text}, ' for text in told)})"


def kind(block: Block) -> str:
    """What a block is: text, points, facts, commands, table or plate."""
    return type(block).__name__.lower()


_FILTERS: Mapping[str, Callable[..., Any]] = {
    "kind": kind,
    "typst": typst_text,
    "string": typst_string,
    "html": html_text,
    "inline_svg": inline_svg,
    "markdown_table": markdown,
    "typst_columns": typst_columns,
    "breakable": breakable,
    "latex": latex.text,
    "latex_cell": latex.cell,
    "latex_columns": latex.columns,
    "latex_commands": latex.commands,
}
