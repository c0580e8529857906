"""The installed platform plugin answers for emulated servers alone."""

from __future__ import annotations

import sys
import tomllib

import pytest

from house.sources import ROOT
from marsbench.core.backends import choose
from marsbench.serve.plan import ServeRequest, command
from marsbench.serve.plugin import NAME, platform


def test_every_emulated_server_has_the_platform_and_no_other_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    emulated = ServeRequest(choose("fcfs"), emulate="h200:qwen3-coder-30b")
    real = ServeRequest(choose("fcfs"), model="m")
    for request, found in ((emulated, True), (real, False)):
        monkeypatch.setattr(sys, "argv", command(request, 1, "folder"))
        assert (platform() is not None) is found


def test_it_is_installed_under_the_name_that_marsbench_serve_brings() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = project["entry-points"]["vllm.platform_plugins"]
    assert named == {NAME: f"{platform.__module__}:{platform.__name__}"}
