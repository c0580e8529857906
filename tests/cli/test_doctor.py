"""`marsbench doctor`: what is here, what is missing, and whether a run can be played."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Marsbench
from marsbench.show import doctor
from marsbench.trees.tree import Tree


def test_each_line_is_found_or_says_what_to_type() -> None:
    checks = doctor.examine()
    names = [one.what for one in checks]
    assert len(set(names)) == len(names)
    assert all(one.cure for one in checks if one.found is None), "missing, and no cure"
    assert {one.what for one in checks if one.needed} == {"Python", "base modules", "vLLM"}


def test_a_run_without_vllm_is_refused_with_what_to_type(
    marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "imported", lambda: None)
    done = marsbench("doctor")
    assert done.code == 1
    assert "`marsbench setup` (3 GB" in " ".join(done.out.split())
    assert "`marsbench run` cannot." in done.out


def test_what_a_run_can_do_without_costs_no_exit_code(
    marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Tree(root=Path("/"), name="0.34.0", version="0.34.0", sources="")
    monkeypatch.setattr(doctor, "imported", lambda: here)
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    monkeypatch.setenv("PATH", "")
    done = marsbench("doctor", "--json")
    found = {one["what"]: one for one in json.loads(done.out)["checks"]}
    assert done.code == 0
    assert found["cache of times alone"]["found"] is None
    assert found["GPU"]["found"] is None
    assert found["vLLM"]["found"] == "0.34.0, not the one that marsbench is pinned to"
    assert json.loads(done.out)["ready"] is True
