"""Every figure shows something in every panel, says what, and only what it was given."""

from __future__ import annotations

import dataclasses
import io
import re

import pytest

from marsbench.judge.compare.figures import LATENCY
from marsbench.judge.compare.points import Matrix
from marsbench.judge.compare.values import CdfPoint
from marsbench.report.axes import log_scale
from marsbench.report.canvas import PAGE, our_style, panels, to_bytes
from marsbench.report.chapters import CHAPTERS
from marsbench.report.figures import FIGURES
from marsbench.report.looks import LOOKS
from marsbench.report.material import Absent, Material
from marsbench.report.sections import plates
from report.conftest import ALONE_S, SLOWED


@pytest.fixture(scope="module")
def drawn(report):
    return {plate.name: plate.drawing for plate in report.plates()}


SHOWN = [name for chapter in CHAPTERS.values() for name in chapter.figures]


def shows_data(axes):
    """Whether a panel has anything but its grid."""
    return bool([*axes.lines, *axes.collections, *axes.patches])


@pytest.mark.parametrize("name", SHOWN)
def test_every_figure_is_in_the_report_and_has_no_empty_panel(name, drawn):
    assert all(shows_data(axes) for axes in drawn[name].figure.axes)


@pytest.mark.parametrize("name", SHOWN)
def test_every_figure_is_as_wide_as_a_page_and_less_than_half_as_high(name, drawn):
    width, height = drawn[name].figure.get_size_inches()
    assert width == PAGE
    assert height < 4.2


@pytest.mark.parametrize("name", SHOWN)
def test_every_figure_says_what_its_axes_are(name, drawn):
    assert any(axes.get_xlabel() for axes in drawn[name].figure.axes)
    assert drawn[name].caption.endswith(".")
    assert drawn[name].headline.endswith(".")


def test_a_backend_has_its_colour_in_every_line_of_every_figure(drawn, material):
    known = {look.color for look in material.looks.values()}
    for name in ("latency", "collapse", "slowdown", "ttft-by-round"):
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
    assert line.get_ydata()[-1] == material.matrix.value(heaviest, "mars", LATENCY)


@pytest.mark.parametrize("name", ["latency", "collapse"])
def test_a_measure_has_one_scale_for_all_regimes(name, material):
    pair = Material(material.folders, material.comparison)
    whole = material.regimes[0]
    turned = dataclasses.replace(whole, places=(whole.lightest, whole.lightest))
    pair.__dict__["regimes"] = [whole, turned]
    with our_style():
        (drawing,) = FIGURES[name](pair)
    by_label = {}
    for axes in drawing.figure.axes:
        by_label.setdefault(axes.get_subplotspec().colspan.start, set()).add(axes.get_ylim())
    assert all(len(limits) == 1 for limits in by_label.values())


def test_ablations_are_apart_from_the_others(material):
    assert set(material.ablations) == {"mars-no-admission"}
    assert set(material.contenders) == set(SLOWED) - {"mars-no-admission"}


def test_a_figure_without_its_runs_is_absent_and_says_why(material):
    bare = dataclasses.replace(material.comparison, curves=(), cdf=(), sizes=(), ttft_by_round=())
    for name in ("goodput-alpha", "slowdown-cdf", "fairness", "ttft-by-round"):
        with pytest.raises(Absent, match="no r"):
            plates(Material(material.folders, bare), name)


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
    many = Material(material.folders, material.comparison)
    many.__dict__["regimes"] = list(copies)
    with our_style():
        widths = [len(d.figure.axes) for d in FIGURES["slowdown-cdf"](many)]
    assert widths == [4, 3]


def test_a_regime_of_one_load_is_dots_and_no_empty_curve(material):
    one = Material(material.folders, material.comparison)
    heavy = material.regimes[0].places[-1:]
    one.__dict__["regimes"] = [dataclasses.replace(material.regimes[0], places=heavy)]
    with our_style():
        (drawing,) = FIGURES["latency"](one)
    rows = [label.get_text() for label in drawing.figure.axes[0].get_yticklabels()]
    assert rows == list(one.contenders)
    assert all(len(line.get_xdata()) <= 2 for axes in drawing.figure.axes for line in axes.lines)
    with pytest.raises(Absent, match="more than one load"):
        plates(one, "light-load")


def test_one_backend_at_one_load_is_no_figure(material):
    one = Material(material.folders, material.comparison)
    one.__dict__["contenders"] = {"mars": material.looks["mars"]}
    alone = dataclasses.replace(material.comparison, matrix=Matrix([material.matrix.points[0]]))
    with pytest.raises(Absent, match="a row of numbers"):
        plates(_with(one, alone), "latency")


def _with(material, comparison):
    own = Material(material.folders, comparison)
    own.__dict__.update(material.__dict__ | {"comparison": comparison})
    return own


def test_a_backend_that_was_not_run_somewhere_has_no_strip_there_and_a_sentence_says_so(material):
    kept = [p for p in material.traces.evictions if p.backend != "oracle"]
    own = Material(material.folders, material.comparison)
    own.__dict__["traces"] = dataclasses.replace(material.traces, evictions=tuple(kept))
    elsewhere = material.regimes[0].heaviest._replace(workload="other")
    points = tuple(p._replace(place=elsewhere) for p in material.traces.evictions)
    own.__dict__["traces"] = dataclasses.replace(own.traces, evictions=(*kept, *points))
    other = dataclasses.replace(material.regimes[0], places=(elsewhere,))
    own.__dict__["regimes"] = [material.regimes[0], other]
    matrix = Matrix(
        [
            *material.matrix.points,
            *(dataclasses.replace(p, place=elsewhere) for p in material.matrix.points),
        ]
    )
    own.comparison = dataclasses.replace(material.comparison, matrix=matrix)
    with our_style():
        (drawing,) = FIGURES["evictions"](own)
    assert "Not run on ilr-1 at load 1, tools autonomous: oracle." in drawing.caption
    assert "no data" not in "".join(
        text.get_text() for axes in drawing.figure.axes for text in axes.texts
    )


@pytest.mark.parametrize("ends", [(100, 7000), (0.1, 1100), (200, 5000), (1, 60), (1, 3)])
def test_a_low_panel_has_no_more_labels_on_a_logarithm_than_stand_in_it(ends):
    with our_style():
        _, axes = panels(1, 1, high=1.0)
        axes[0, 0].set_ylim(*ends)
        log_scale(axes[0, 0], "y", 3)
        shown = [tick for tick in axes[0, 0].get_yticks() if ends[0] <= tick <= ends[1]]
    assert 1 <= len(shown) <= 4


def test_tool_calls_have_two_labels_however_many_there_are(drawn):
    for axes in drawn["occupancy"].figure.axes[1::2]:
        low, high = axes.get_yticks()
        assert low == 0
        assert high <= axes.get_ylim()[1]


def test_a_part_that_never_decided_anything_has_no_empty_panel(material, monkeypatch):
    monkeypatch.setattr("marsbench.report.figures.parts.exercised_at", lambda *_: False)
    with pytest.raises(Absent, match="decided anything"):
        plates(material, "ablations")


def test_what_lies_beyond_an_axis_has_a_mark_on_its_edge(material):
    far = {"b": 900.0, **{f"a{n}": 10.0 + n for n in range(5)}}
    looks = dict(zip(far, LOOKS.values(), strict=False))
    place = material.regimes[0].heaviest
    points = tuple(
        point for name, top in far.items()
        for point in (CdfPoint(place, name, 1.0, 0.5), CdfPoint(place, name, top, 1.0))
    )  # fmt: skip
    own = Material(material.folders, dataclasses.replace(material.comparison, cdf=points))
    own.__dict__ |= {"contenders": looks, "looks": looks}
    with our_style():
        (drawing,) = FIGURES["slowdown-cdf"](own)
    marks = [line for line in drawing.figure.axes[0].lines if line.get_marker() == ">"]
    assert [line.get_color() for line in marks] == [looks["b"].color]
    assert drawing.figure.axes[0].get_xlim()[1] < 20
    assert "b up to 900" in drawing.caption


def test_a_bar_of_causes_is_as_long_as_a_mean_session(drawn, material):
    axes = drawn["causes"].figure.axes[0]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    ends = dict.fromkeys(rows, 0.0)
    for patch in axes.patches:
        row = rows[round(patch.get_y() + patch.get_height() / 2)]
        ends[row] = max(ends[row], patch.get_x() + patch.get_width())
    # story(): of three sessions one is slowed by half of what the most slowed one is.
    assert ends["oracle"] == pytest.approx(ALONE_S)
    assert ends["mars"] == pytest.approx(ALONE_S * (1 + SLOWED["mars"]) / 2, rel=0.1)
