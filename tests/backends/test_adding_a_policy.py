"""The test that docs/adding-a-policy.md shows is run, on the policy that it shows."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adding-a-policy.md"
BLOCKS = re.findall(r"```python\n((?:.*\n)*?)```\n", PAGE.read_text(encoding="utf-8"))
Tests = dict[str, Callable[[], None]]


def shown(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, Tests]:
    """The module pin, and the tests of it."""
    policy, tests = BLOCKS
    module = ModuleType("pin")
    monkeypatch.setitem(sys.modules, "pin", module)  # a dataclass looks its module up
    exec(policy, vars(module))
    names: dict[str, Any] = {}
    exec(tests, names)
    return module, {name: one for name, one in names.items() if name.startswith("test_")}


def test_the_tests_that_are_shown_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    _, tests = shown(monkeypatch)
    assert len(tests) == 3
    for test in tests.values():
        test()


def test_they_fail_for_a_policy_that_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from marsbench_backends.policy import Policy

    module, tests = shown(monkeypatch)
    monkeypatch.delattr(module.Pin, "retain")
    monkeypatch.setattr(module.Pin, "reclaim", Policy.reclaim)
    failed = []
    for name, test in tests.items():
        try:
            test()
        except AssertionError:
            failed.append(name)
    assert failed == list(tests)[:2]
