"""Tenants beside each other: evenness of slowdown, who is worst off, who was served when."""

from __future__ import annotations

from figures import summarise
from marsbench.core.metrics.fairness import worst
from metrics.story import a_round, a_session

STORY = [
    *a_session(
        "a", 0.0, 10.0, tenant="red",
        rounds=a_round("a", ready=0.0, first=4.0, end=10.0, prompt=100, output=20),
    ),
    *a_session(
        "b", 0.0, 100.0, tenant="blue",
        rounds=a_round("b", ready=0.0, first=95.0, end=100.0, prompt=300, output=10),
    ),
]  # fmt: skip
IDEAL = {"a": 10.0, "b": 25.0}


def test_service_is_told_tenth_by_tenth():
    found = summarise(STORY, ideal_s=IDEAL)["fairness"]
    assert found["slice_s"] == 10.0
    # Prompts when the first token exists, outputs twice when the round ends: at 10 s the second
    # tenth begins, and the run's last instant is of its last one.
    assert found["service"]["red"] == [100, 40, 0, 0, 0, 0, 0, 0, 0, 0]
    assert found["service"]["blue"] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 320]


def test_evenness_and_the_worst_tenant_by_hand():
    found = summarise(STORY, ideal_s=IDEAL, alphas=(2, 5))["fairness"]
    # Slowdowns of 1 and 4: 25 / (2 x 17).
    assert found["jain_slowdown"] == 25 / 34
    assert found["worst_goodput"]["2"] == {"tenant": "blue", "share": 0.0}
    assert found["worst_goodput"]["5"]["share"] == 1.0


def test_a_run_of_one_tenant_says_nothing_of_fairness():
    assert "fairness" not in summarise(a_session("a", 0.0, 9.0))


def test_the_worst_is_unknown_where_one_is():
    good = {"share": 0.5, "rate": None, "good": 1, "arrived": 2}
    assert worst({"a": good, "b": {**good, "share": 0.25}}) == {"tenant": "b", "share": 0.25}
    assert worst({"a": good, "b": {**good, "share": None}}) == {"tenant": None, "share": None}


def test_a_round_that_was_never_answered_was_not_served():
    story = [
        *a_session("a", 0.0, 10.0, tenant="red", rounds=a_round("a", first=4.0, end=10.0)),
        *a_session("b", 0.0, None, tenant="blue", rounds=a_round("b")),
    ]
    assert sum(summarise(story, ideal_s=IDEAL)["fairness"]["service"]["blue"]) == 0
