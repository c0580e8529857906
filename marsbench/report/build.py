"""From run folders to the file that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from marsbench.errors import UsageError, unknown_name
from marsbench.outputs import save
from marsbench.report import pages
from marsbench.report.canvas import METADATA, to_bytes
from marsbench.report.chapters import CHAPTERS
from marsbench.report.document import Document, Plate
from marsbench.report.figures import FIGURES
from marsbench.report.latex import UNFIT
from marsbench.report.material import DEFAULTS, Absent, Material, ReportOptions
from marsbench.report.sections import document, plates
from marsbench.text.progress import steps

FORMS = (".pdf", ".html", ".md", ".tex")


def build(
    runs: Sequence[Path],
    output: Path,
    *,
    title: str | None = None,
    options: ReportOptions = DEFAULTS,
    figures: bool = True,
) -> list[Path]:
    """Writes the report and returns what was written; `figures`: those beside Markdown and LaTeX.

    Raises UsageError for runs that cannot be compared and a file that cannot be written.
    """
    _check_form(output, FORMS)
    if output.suffix == ".tex" and UNFIT & set(output.stem):
        raise UsageError(
            f"Cannot write {output}: LaTeX reads no figures from a folder whose name has one of "
            f"{' '.join(sorted(UNFIT))}; for example -o report.tex."
        )
    with steps(len(CHAPTERS) + 4) as step:
        step("reading runs")
        material = Material.read(runs, options)
        report = document(material, title, step)
        step(f"writing {output.name}")
        return _write(report, output, figures)


def build_figure(
    runs: Sequence[Path], output: Path, name: str, options: ReportOptions = DEFAULTS
) -> list[Path]:
    """Writes one figure, a file a sheet, and returns them.

    Raises UsageError for a figure that is not known or cannot be drawn from these runs.
    """
    if name not in FIGURES:
        raise unknown_name("figure", name, FIGURES)
    _check_form(output, [f".{form}" for form in METADATA])
    try:
        drawn = plates(Material.read(runs, options), name)
    except Absent as why:
        raise UsageError(f"The figure {name} cannot be drawn: {why}; give other runs.") from why
    return [_write_plate(plate, output.with_stem(output.stem + plate.name.removeprefix(name)))
            for plate in drawn]  # fmt: skip


def _check_form(output: Path, forms: Sequence[str]) -> None:
    if output.suffix not in forms:
        raise UsageError(
            f"Cannot write {output}: its name must end in {', '.join(forms[:-1])} or {forms[-1]}; "
            f"for example -o {output.stem or 'report'}{forms[0]}."
        )


def _write(report: Document, output: Path, figures: bool) -> list[Path]:
    if output.suffix == ".pdf":
        return [_save(output, pages.as_pdf(report))]
    if output.suffix == ".html":
        return [_save(output, pages.as_html(report).encode())]
    folder = output.with_name(f"{output.stem}_files")
    form, told = (
        (".pdf", pages.as_latex) if output.suffix == ".tex" else (".svg", pages.as_markdown)
    )
    drawn = report.plates() if figures else []
    written = [_write_plate(plate, folder / f"{plate.name}{form}") for plate in drawn]
    text = told(report, folder.name if figures else None)
    return [_save(output, text.encode()), *written]


def _write_plate(plate: Plate, path: Path) -> Path:
    return _save(path, to_bytes(plate.drawing.figure, path.suffix[1:]))


def _save(path: Path, content: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, [content])
    except OSError as error:
        raise UsageError(
            f"Cannot write {path}: {error.strerror}; give a file that you may write with -o."
        ) from error
    return path
