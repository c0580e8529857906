"""`marsbench doctor`: what is here, what is missing, and whether a run can be played."""

from __future__ import annotations

import json

import pytest

from cli.conftest import Marsbench
from marsbench.show import doctor


def test_each_line_is_found_or_says_what_to_type() -> None:
    checks = doctor.examine()
    names = [one.what for one in checks]
    assert len(set(names)) == len(names)
    assert all(one.cure for one in checks if one.found is None), "missing, and no cure"
    assert {one.what for one in checks if one.needed} == {"Python", "base modules", "vLLM"}


def test_a_run_without_vllm_is_refused_with_what_to_type(
    marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "installed", lambda _: None)
    done = marsbench("doctor")
    assert done.code == 1
    assert "pip install 'marsbench[sim]'" in " ".join(done.out.split())
    assert "`marsbench run` cannot." in done.out


def test_another_vllm_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "pinned", lambda _: "0.33.0")
    for there, is_ready in (("0.33.0+cpu", True), ("0.34.0", False)):
        monkeypatch.setattr(doctor, "installed", lambda _, version=there: version)
        assert doctor.is_ready(doctor.examine()) is is_ready


def test_what_a_run_can_do_without_costs_no_exit_code(
    marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "installed", lambda _: "0.33.0")
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    monkeypatch.setenv("PATH", "")
    done = marsbench("doctor", "--json")
    found = {one["what"]: one for one in json.loads(done.out)["checks"]}
    assert done.code == 0
    assert found["cache of times alone"]["found"] is None
    assert found["GPU"]["found"] is None
    assert json.loads(done.out)["ready"] is True
