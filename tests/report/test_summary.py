"""The first page: which backend to take, and what is said where there is no choice."""

from __future__ import annotations

import dataclasses

import pytest

from marsbench.errors import UsageError
from marsbench.judge.compare.figures import GOODPUT, LATENCY
from marsbench.judge.compare.points import Matrix, MatrixPoint, Place
from marsbench.report.material import Material, ReportOptions
from marsbench.report.sections import document
from marsbench.report.standing import Field, bounds, choices, fields, led, recommended
from marsbench.report.summary import summary
from metrics.story import a_session, told
from report.conftest import config, write

HERE = Place("ilr-1", 1.0, None, "h200", "paper", "base", "qwen3-coder-30b")
FAR = HERE._replace(load=2.0)


def point(backend, place, goodput, latency_s):
    return MatrixPoint(place, backend, (1,), ({GOODPUT: goodput, LATENCY: latency_s},))


def of(material, *points):
    """The same material with these points for what is ranked."""
    comparison = dataclasses.replace(material.comparison, matrix=Matrix(points))
    return Material(material.folders, comparison)


def text_of(blocks):
    return " ".join(str(block) for block in blocks)


def test_who_is_never_clearly_behind_is_recommended(material):
    runs = of(
        material,
        point("fcfs", HERE, 1.0, 100.0), point("fcfs", FAR, 0.2, 900.0),
        point("mars", HERE, 1.0, 101.0), point("mars", FAR, 0.9, 300.0),
        point("fcfs-cap", HERE, 0.8, 90.0), point("fcfs-cap", FAR, 0.9, 299.0),
    )  # fmt: skip
    found = fields(runs)
    assert recommended(found, choices(runs), "fcfs") == "mars"
    assert led(found, "mars") == [HERE, FAR]
    assert led(found, "fcfs") == [HERE]
    assert "`mars`. Nobody is clearly ahead of it at 2 of 2 places." in text_of(summary(runs))


def test_where_nobody_is_ahead_one_stays_with_what_one_has(material):
    runs = of(material, point("fcfs", HERE, 1.0, 100.0), point("mars", HERE, 1.0, 98.0))
    assert "stay with `fcfs`, no backend is clearly ahead" in text_of(summary(runs))


def test_a_place_at_which_another_is_ahead_is_named(material):
    runs = of(
        material,
        point("fcfs", HERE, 0.9, 100.0), point("fcfs", FAR, 0.5, 900.0),
        point("mars", HERE, 0.5, 300.0), point("mars", FAR, 0.9, 300.0),
        point("fcfs-cap", HERE, 0.9, 101.0), point("fcfs-cap", FAR, 0.3, 900.0),
    )  # fmt: skip
    assert "But `mars` is ahead on ilr-1 at load 2." in text_of(summary(runs))


def test_a_bound_is_no_choice_however_good_it_is(material):
    assert "oracle" in bounds(material)
    assert "oracle" not in choices(material)
    assert all("oracle" not in field.standing for field in fields(material))


def test_leaders_are_those_of_whom_nobody_is_clearly_ahead():
    field = Field(HERE, {"a": (1.0, 10.0), "b": (0.98, 10.2), "c": (0.9, 10.0)})
    field = Field(HERE, {n: type("S", (), {"goodput": g, "latency_s": s})
                         for n, (g, s) in field.standing.items()})  # fmt: skip
    assert field.leaders == ["a", "b"]
    assert field.ahead_of("c") == ["a", "b"]


@pytest.fixture
def lone(tmp_path):
    events = told(*(a_session(f"s{n}", 5.0 * n, 5.0 * n + 30) for n in range(6)))
    write(tmp_path / "lone", events, config("theirs", 0.9, 1))
    return tmp_path / "lone"


def test_one_backend_is_told_and_not_recommended(lone):
    text = text_of(summary(Material.read([lone])))
    assert "One backend: `theirs`. There is nothing to choose between" in text
    assert "Recommendation" not in text


def test_no_report_speaks_of_the_paper_unless_asked(material, sweep):
    def whole(asked):
        return text_of(document(Material.read([sweep], asked), None, lambda step: None).sections)

    assert "MARS" not in whole(ReportOptions())
    assert "numbers that the MARS paper reports" in whole(ReportOptions(verdicts="mars"))


def test_verdicts_need_the_backend_that_they_are_on(lone):
    with pytest.raises(UsageError, match="on the backend mars, which is not among the runs"):
        Material.read([lone], ReportOptions(verdicts="mars"))


def test_verdicts_on_an_unknown_paper_are_refused(lone):
    with pytest.raises(UsageError, match="Unknown paper with verdicts 'vllm'"):
        Material.read([lone], ReportOptions(verdicts="vllm"))


def test_a_figures_command_has_the_options_that_the_report_had(sweep):
    asked = ReportOptions(baseline="oracle")
    report = document(Material.read([sweep], asked), None, lambda step: None)
    (command,) = {p.command for p in report.plates() if p.name == "latency"}
    assert "--baseline oracle --figure latency" in command


def test_cautions_of_runs_are_counted(report):
    (section,) = [section for section in report.sections if section.id == "cautions"]
    assert "TOO_FEW_SESSIONS: all 20 runs." in text_of(section.blocks)
