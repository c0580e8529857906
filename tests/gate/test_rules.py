"""Rules from options and files."""

from __future__ import annotations

import pytest

from marsbench.errors import UsageError
from marsbench.judge.compare.figures import GOODPUT, LATENCY, Figure
from marsbench.judge.gate import GateRules, Margin, Rule, parse_margin, read_rules, rule_of

FILE = """
alpha = 2
confidence = 0.9

[[rules]]
metric = "goodput"

[[rules]]
metric = "goodput"
alpha = 3
margin = "10%"

[[rules]]
metric = "preemptions"
margin = 4
better = "lower"
"""


def write(tmp_path, text):
    path = tmp_path / "rules.toml"
    path.write_text(text)
    return path


def test_a_margin_is_a_share_or_an_amount():
    assert parse_margin("5%") == Margin(0.05, relative=True)
    assert parse_margin("0.05") == Margin(0.05, relative=False)
    assert [str(parse_margin(text)) for text in ("5%", "0.05", 3)] == ["5%", "0.05", "3"]


@pytest.mark.parametrize("text", ["-1%", "much", "nan", "inf%", ""])
def test_what_is_no_margin_is_refused(text):
    with pytest.raises(UsageError, match="--margin 5%"):
        parse_margin(text)


def test_short_names_stand_for_figures():
    assert rule_of("goodput", alpha=1.5).figure == Figure("goodput", 1.5)
    assert rule_of("goodput_rate").figure == Figure("goodput_rate", 3.0)
    assert rule_of("latency") == Rule(LATENCY, "lower", Margin(0.05, relative=True))


@pytest.mark.parametrize(
    ("metric", "told"),
    [("latencies", "Unknown metric"), ("preemptions", "no better side"), ("goodput_x", "Unknown")],
)
def test_what_is_no_figure_is_refused(metric, told):
    with pytest.raises(UsageError, match=told):
        rule_of(metric)


@pytest.mark.parametrize("metric", ["goodput_0.5", "goodput_rate_0.5"])
def test_an_alpha_that_nobody_can_meet_is_refused_in_a_name_too(metric):
    with pytest.raises(UsageError, match=r"alpha=0\.5"):
        rule_of(metric)


def test_a_file_of_rules(tmp_path):
    assert read_rules(write(tmp_path, FILE)) == GateRules(
        (
            Rule(Figure("goodput", 2.0), "higher", Margin(0.05, relative=True)),
            Rule(GOODPUT, "higher", Margin(0.1, relative=True)),
            Rule(Figure("preemptions"), "lower", Margin(4.0, relative=False)),
        ),
        0.9,
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules = [", "is not TOML"),
        ("alpha = 3", "rules: Field required"),
        ('[[rules]]\nmetric = "goodput"\nmargins = 3', "rules.0.margins"),
        ('[[rules]]\nmetric = "godput"', "Unknown metric 'godput'"),
        ('confidence = 1\n[[rules]]\nmetric = "goodput"', "confidence must be above 0.5"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(text, told, tmp_path):
    with pytest.raises(UsageError, match=told) as refused:
        read_rules(write(tmp_path, text))
    assert "rules.toml" in str(refused.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_rules(tmp_path / "none.toml")
