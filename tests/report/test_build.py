"""`marsbench report`: what is written, what is refused, and what is left out."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from marsbench.cli.main import app
from marsbench.errors import UsageError
from marsbench.report.build import build, build_figure
from marsbench.report.material import Material
from marsbench.report.sections import document
from metrics.story import a_session, told
from report.conftest import config, write


@pytest.fixture
def lone(tmp_path):
    """A single run of a backend that nobody knows, without tools, evictions or samples."""
    write(
        tmp_path / "lone",
        told(*(a_session(f"s{n}", 5.0 * n, 5.0 * n + 30) for n in range(6))),
        config("theirs", 0.9, 1),
    )
    return tmp_path / "lone"


def test_a_figure_alone_is_written(lone, tmp_path):
    (path,) = build_figure([lone], tmp_path / "cdf.svg", "slowdown-cdf")
    assert path.read_bytes().startswith(b"<?xml")


def test_markdown_brings_its_figures_beside_it(lone, tmp_path):
    written = build([lone], tmp_path / "new" / "report.md")
    assert written[0] == tmp_path / "new" / "report.md"
    assert {path.parent.name for path in written[1:]} == {"report_files"}
    assert all(path.stat().st_size for path in written)


def test_latex_brings_its_figures_as_pdf_beside_it(lone, tmp_path):
    written = build([lone], tmp_path / "paper.tex")
    shown = re.findall(r"\\includegraphics\[.*\]\{(.*)\}", written[0].read_text())
    assert [tmp_path / name for name in shown] == written[1:]
    assert shown[0].startswith("paper_files/")
    assert all(path.read_bytes().startswith(b"%PDF") for path in written[1:])


def test_a_single_run_of_anyone_can_be_reported(lone, tmp_path):
    report = document(Material.read([lone]), "Theirs", lambda step: None)
    text = " ".join(str(block) for section in report.sections for block in section.blocks)
    assert report.title == "Theirs"
    assert "`occupancy`: no run given has kept its events" in text
    assert "`ablations`: no backend without one of its parts is among the runs" in text
    assert "MARS" not in text
    assert "'marsbench run --backend theirs --workload ilr-1 \\\\'" in text
    assert "'  --sessions 6 --seed 1" in text


def test_runs_of_nothing_are_refused_in_one_sentence(tmp_path):
    done = CliRunner().invoke(app, ["report", str(tmp_path), "-o", str(tmp_path / "r.html")])
    assert isinstance(done.exception, UsageError)
    assert str(tmp_path) in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "report.doc"], "must end in .pdf, .html, .md or .tex; for example -o report.pdf"),
        (["-o", "a%b.tex"], "reads no figures from a folder whose name has one of"),
        (["-o", "x.html", "--figure", "latency"], "must end in .svg, .pdf or .png"),
        (["-o", "x.svg", "--figure", "latncy"], "Did you mean 'latency'"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_read(arguments, says, tmp_path):
    done = CliRunner().invoke(app, ["report", str(tmp_path / "nothing"), *arguments])
    assert isinstance(done.exception, UsageError)
    assert says in str(done.exception)


def test_a_figure_that_the_runs_do_not_bear_is_refused(lone, tmp_path):
    with pytest.raises(UsageError, match="cannot be drawn: no backend without one of its parts"):
        build_figure([lone], tmp_path / "a.svg", "ablations")


def test_a_file_that_cannot_be_written_is_said(lone, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match=r"Cannot write .*taken"):
        build_figure([lone], tmp_path / "taken" / "a.svg", "slowdown-cdf")
