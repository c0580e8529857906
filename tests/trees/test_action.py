"""What the GitHub Action runs: with a gate that ends as it is told, and with the real one."""

from __future__ import annotations

import os
import re
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from house.sources import ROOT
from marsbench.cli.main import command
from marsbench.core.proven import keep
from marsbench.trees.verdicts import Proven
from tests.trees.changed import changed

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


SWEEP = """
seeds = [1, 2, 3, 4, 5, 6]
backends = [{ scheduler_cls = "vllm" }]
workloads = [{ name = "chat", rates = [20.0], sessions = 4 }]
engines = [{ label = "small-kv", kv_blocks = 2000 }]
"""
LATENCY = {"metrics": "latency", "margin": "0.1%"}
IN_BRACES = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")


def on_one_core() -> None:
    """A sweep then starts one process, which imports vLLM once."""
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])


class Job:
    """A composite action's own steps, run as GitHub does: actions that it uses are left out."""

    def __init__(self, workspace: Path, **given: str) -> None:
        self.action = yaml.safe_load((SCRIPT.parent / "action.yml").read_text())
        defaults = {name: one.get("default", "") for name, one in self.action["inputs"].items()}
        self.known = {f"inputs.{name}": text for name, text in {**defaults, **given}.items()}
        self.known["github.action_path"] = str(SCRIPT.parent)
        self.workspace = workspace
        self.env = {**os.environ, "GITHUB_ACTION_PATH": str(SCRIPT.parent)}
        self.env["GITHUB_STEP_SUMMARY"] = str(workspace / "summary.md")

    def filled(self, text: str) -> str:
        return IN_BRACES.sub(lambda found: self.known[found[1]], text)

    def run(self, step: dict[str, Any]) -> int:
        out, script = self.workspace / "output", self.workspace / "step.sh"
        out.write_text("")
        script.write_text(self.filled(step["run"]))
        own = {name: self.filled(text) for name, text in step.get("env", {}).items()}
        env = {**self.env, **own, "GITHUB_OUTPUT": str(out)}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        done = subprocess.run(
            command, cwd=self.workspace, env=env, check=False, preexec_fn=on_one_core
        )
        for line in out.read_text().splitlines():
            name, _, text = line.partition("=")
            self.known[f"steps.{step['id']}.outputs.{name}"] = text
        return done.returncode

    def output(self, name: str) -> str:
        return self.filled(self.action["outputs"][name]["value"])


@pytest.mark.vllm
@pytest.mark.processes
def test_a_change_that_makes_chats_wait_fails_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (ROOT / ".venv" / "bin" / "marsbench").is_file():
        pytest.skip("the action's marsbench lies in .venv")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tree = changed(tmp_path / "vllm", at_once=1)
    keep(Proven(is_equal=True, worlds=0), tree)  # to find it out would take a minute
    (tmp_path / "chats.toml").write_text(SWEEP)
    job = Job(tmp_path, candidate="vllm", baseline="0.33.0", preset="chats.toml", **LATENCY)
    assert job.run(job.action["runs"]["steps"][-1]) == 1
    assert job.output("verdict") == "fail"
    told = (tmp_path / "summary.md").read_text()
    assert told == (tmp_path / job.output("summary")).read_text()
    assert "vLLM c0ffee0-dirty" in told
    assert "First difference: chat_rate20" in told
