"""Every figure shows something in every panel, says what, and only what it was given."""

from __future__ import annotations

import dataclasses
import io
import re

import pytest

from marsbench.report.canvas import COLUMN, PAGE, our_style, to_bytes
from marsbench.report.figures import FIGURES
from marsbench.report.material import Absent, Material
from marsbench.report.sections import plates
from report.conftest import SLOWED


@pytest.fixture(scope="module")
def drawn(report):
    return {plate.name: plate.drawing for plate in report.plates()}


def shows_data(axes):
    """Whether a panel has anything but its grid."""
    return bool([*axes.lines, *axes.collections, *axes.patches])


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_in_the_report_and_has_no_empty_panel(name, drawn):
    assert all(shows_data(axes) for axes in drawn[name].figure.axes)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_one_column_or_two_wide(name, drawn):
    assert drawn[name].figure.get_figwidth() in (COLUMN, PAGE)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_says_what_its_axes_are(name, drawn):
    assert any(axes.get_xlabel() for axes in drawn[name].figure.axes)
    assert drawn[name].caption.endswith(".")
    assert drawn[name].headline.endswith(".")


def test_a_backend_has_its_colour_in_every_line_of_every_figure(drawn, material):
    known = {look.color for look in material.looks.values()}
    for name in ("latency", "collapse", "goodput-alpha", "slowdown-cdf", "ttft-by-round"):
        for axes in drawn[name].figure.axes:
            colors = [
                line.get_color() for line in axes.lines if line.get_marker() not in ("None", "")
            ]
            assert len(colors) == len(set(colors)) == len(material.contenders)
            assert set(colors) <= known


def test_what_is_drawn_is_what_was_compared(drawn, material):
    heaviest = material.regimes[0].heaviest
    panel = drawn["latency"].figure.axes[0]
    marks = {line.get_color(): line for line in panel.lines if line.get_marker() == "*"}
    line = marks[material.looks["mars"].color]
    assert line.get_ydata()[-1] == material.matrix.value(heaviest, "mars", "latency_mean_s")


@pytest.mark.parametrize("name", ["latency", "collapse", "goodput-alpha", "slowdown-cdf"])
def test_panels_side_by_side_have_one_scale(name, material):
    pair = Material(material.given, material.comparison)
    pair.__dict__["regimes"] = [material.regimes[0], dataclasses.replace(material.regimes[0])]
    light = material.regimes[0].places[:1]
    pair.__dict__["regimes"][1] = dataclasses.replace(material.regimes[0], places=light)
    with our_style():
        (drawing,) = FIGURES[name](pair)
    limits = [axes.get_ylim() for axes in drawing.figure.axes]
    assert limits[::2] == limits[1::2]


def test_ablations_are_apart_from_the_others(material):
    assert set(material.ablations) == {"mars-no-admission"}
    assert set(material.contenders) == set(SLOWED) - {"mars-no-admission"}


def test_a_figure_without_its_runs_is_absent_and_says_why(material):
    bare = dataclasses.replace(material.comparison, curves=(), cdf=(), sizes=(), ttft_by_round=())
    for name in ("goodput-alpha", "slowdown-cdf", "fairness", "ttft-by-round"):
        with pytest.raises(Absent, match="no r"):
            plates(Material(material.given, bare), name)


def test_an_svg_has_no_more_digits_than_a_printer_needs_but_letters_keep_their_size(drawn):
    figure = drawn["latency"].figure
    text = to_bytes(figure, "svg").decode()
    paths = re.findall(r'\bd="([^"]*)"', text)
    assert paths
    assert not any(re.search(r"\.\d{3}", path) for path in paths)
    with our_style(**{"svg.fonttype": "path"}):
        figure.savefig(whole := io.StringIO(), format="svg")
    letters = r"scale\([^)]*\)"
    assert re.findall(letters, text) == re.findall(letters, whole.getvalue())


def test_many_regimes_go_onto_several_sheets(material):
    copies = tuple(dataclasses.replace(material.regimes[0], title=f"r{n}") for n in range(7))
    many = Material(material.given, material.comparison)
    many.__dict__["regimes"] = list(copies)
    with our_style():
        widths = [len(d.figure.axes) for d in FIGURES["slowdown-cdf"](many)]
    assert widths == [4, 3]
