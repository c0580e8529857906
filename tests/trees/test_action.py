"""What the GitHub Action runs, with a gate that ends as it is told."""

from __future__ import annotations

import os
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from house.sources import ROOT
from marsbench.cli.main import command

SCRIPT = ROOT / "action" / "gate.sh"
GATE = """#!/usr/bin/env bash
printf '%s\\n' "$@" > typed
[ "$CODE" = 3 ] || echo "### told" > gate-vllm/gate.md
exit "$CODE"
"""


def act(folder: Path, code: int, **inputs: str) -> tuple[int, dict[str, str], str]:
    """The script's exit code, its outputs, and the step's summary."""
    gate = folder / "marsbench"
    gate.write_text(GATE)
    gate.chmod(0o755)
    files = {"GITHUB_OUTPUT": str(folder / "out"), "GITHUB_STEP_SUMMARY": str(folder / "summary")}
    env = {**os.environ, "MARSBENCH": str(gate), "CODE": str(code), **files}
    env |= {"CANDIDATE": ".", "BASELINE": "main", **inputs}
    done = subprocess.run(["bash", str(SCRIPT)], cwd=folder, env=env, check=False)
    told = dict(line.split("=", 1) for line in (folder / "out").read_text().splitlines())
    summary = folder / "summary"
    return done.returncode, told, summary.read_text() if summary.is_file() else ""


@pytest.mark.parametrize(
    ("code", "verdict"), [(0, "pass"), (1, "fail"), (2, "inconclusive"), (3, "error")]
)
def test_the_step_ends_as_the_gate_does(tmp_path: Path, code: int, verdict: str) -> None:
    returned, told, summary = act(tmp_path, code)
    assert (returned, told["verdict"]) == (code, verdict)
    assert summary == ("" if verdict == "error" else "### told\n")


def test_an_inconclusive_change_may_pass(tmp_path: Path) -> None:
    assert act(tmp_path, 2, INCONCLUSIVE="pass")[0] == 0
    assert act(tmp_path, 1, INCONCLUSIVE="pass")[0] == 1


def test_what_it_types_are_options_of_the_gate(tmp_path: Path) -> None:
    act(tmp_path, 0, METRICS="goodput ttft_ready_p99_s", MARGIN="1%", PRESET="mine.toml")
    typed = (tmp_path / "typed").read_text().splitlines()
    known = {name for one in command().commands["gate"].params for name in one.opts}
    assert {word for word in typed if word.startswith("-")} <= known
    pairs = list(pairwise(typed))
    for pair in (("--vllm", "main"), ("--margin", "1%"), ("--preset", "mine.toml"),
                 ("--metric", "goodput"), ("--metric", "ttft_ready_p99_s")):  # fmt: skip
        assert pair in pairs


def test_every_input_reaches_the_script() -> None:
    action = yaml.safe_load((ROOT / "action" / "action.yml").read_text())
    env = action["runs"]["steps"][-1]["env"]
    assert {name.upper() for name in action["inputs"]} <= env.keys()
    text = SCRIPT.read_text()
    assert all(name in text for name in env)
