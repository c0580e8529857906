"""What the tests may cost: every folder has its share, and all fit into `.ci/run`."""

from __future__ import annotations

from pathlib import Path

import cpu_budget
from cpu_budget import ROOT, TESTS, Spent, budgets, folder_of

MOST_CPU_S = 1000
"""Two cores for 11 of the 15 minutes that `.ci/run` takes on a quiet machine, with a quarter of
them left idle by tests that wait. More is to be made up for elsewhere, not added."""


def test_every_folder_of_tests_has_a_budget() -> None:
    there = {folder_of(path) for path in TESTS.rglob("test_*.py")}
    assert budgets().keys() == there


def test_all_budgets_together_fit() -> None:
    assert sum(budgets().values()) <= MOST_CPU_S


def test_what_is_over_its_budget_is_named_and_nothing_fails(monkeypatch) -> None:
    monkeypatch.setattr(cpu_budget, "budgets", lambda: {"a": 10, ROOT: 5})
    spent = Spent()
    spent.add({"a": 12.0, ROOT: 1.0})
    spent.add({"a": 1.0})
    dear, cheap, all_of_them = spent.lines()
    assert dear.split()[:3] == ["a", "13", "10"]
    assert dear.endswith("over its budget in tests/cpu_budget.toml")
    assert cheap.split() == [ROOT, "1", "5"]
    assert all_of_them.split() == ["all", "14", "15"]


def test_what_a_test_spends_is_its_folders() -> None:
    spent = Spent()
    with spent.by(Path(__file__)):
        sum(range(2_000_000))
    assert spent.cpu_s.keys() == {"house"}
    assert spent.cpu_s["house"] > 0
