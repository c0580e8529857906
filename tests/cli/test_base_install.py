"""A base wheel, without vLLM, torch, Ray and OpenHands: one sentence says what to type."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from marsbench.errors import UsageError
from marsbench.extras import EXTRAS, base_modules, require, saying_what_is_missing

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Hides modules from this process as if they had never been installed, then types a command.
WITHOUT = """
import sys
hidden = {hidden!r}

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hide())
sys.argv = ["marsbench", *{arguments!r}]
from marsbench.cli.main import main
main()
"""
NEEDS_SIM = {
    "run": ("run", "--backend", "fcfs", "--workload", "chat", "--sessions", "2", "--rate", "1"),
    "capacity": ("capacity", "--backend", "fcfs", "--workload", "chat", "--sessions", "2"),
    "sweep": ("sweep", "own.toml", "--jobs", "1"),
    "serve": ("serve", "--backend", "fcfs", "--emulate", "h200:qwen3-coder-30b"),
    "calibrate": ("calibrate", "-o", "x.toml", "--tiny"),
}
SWEEP = """
seeds = [1]
[[backends]]
name = "fcfs"
[[workloads]]
name = "chat"
rates = [1.0]
sessions = 2
"""


def without(hidden: tuple[str, ...], folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    (folder / "own.toml").write_text(SWEEP)
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(hidden=hidden, arguments=arguments)],
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("verb", NEEDS_SIM)
def test_a_verb_that_needs_vllm_says_so_and_what_to_type(verb: str, tmp_path: Path) -> None:
    done = without(tuple(EXTRAS), tmp_path, *NEEDS_SIM[verb])
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(
        r"marsbench: This needs vLLM \(.*\).*: type `marsbench setup` \(.*`make setup`.*\n",
        done.stderr,
    )
    assert "`pip install 'marsbench[sim]'` (10 GB)" in done.stderr
    assert not list(tmp_path.glob("**/events.jsonl*"))


def test_a_sweep_on_a_cluster_asks_for_ray(tmp_path: Path) -> None:
    done = without(("ray",), tmp_path, "sweep", "own.toml", "--ray", "local")
    assert done.returncode == 2
    assert "`pip install 'marsbench[ray]'`" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_module_of_the_base_is_asked_for_by_its_name(tmp_path: Path) -> None:
    table = tmp_path / "tasks.jsonl"
    table.write_text("{}\n")
    command = ("workload", "import", "hf", str(table), "-o", "w.jsonl")
    done = without(("datasets",), tmp_path, *command)
    assert done.returncode == 2
    assert "the module datasets, which belongs to marsbench" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command", [("--help",), ("run", "--help"), ("backends",), ("hardware", "list")]
)
def test_what_needs_no_extra_works_without(command: tuple[str, ...], tmp_path: Path) -> None:
    done = without(tuple(EXTRAS), tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_a_module_of_nobody_and_a_part_of_another_version_are_errors_like_any_other() -> None:
    for name in ("none_such", "json.none_such"):
        with pytest.raises(ModuleNotFoundError, match="none_such"), saying_what_is_missing():
            __import__(name)


def test_what_is_installed_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "json", EXTRAS["vllm"])
    require("json")
    monkeypatch.setitem(EXTRAS, "none_such", EXTRAS["vllm"])
    with pytest.raises(UsageError, match=r"marsbench\[sim\]"):
        require("none_such")


def test_each_extra_of_the_project_has_its_module_and_its_sentence() -> None:
    assert {extra.name for extra in EXTRAS.values()} == set(PROJECT["optional-dependencies"])
    for module, extra in EXTRAS.items():
        asked = PROJECT["optional-dependencies"][extra.name]
        assert module == "torch" or any(line.startswith(module) for line in asked)


def test_the_modules_of_the_base_are_those_that_the_project_asks_for() -> None:
    told = ["typst>=0.13", "pyzmq>=26", "httpx-aiohttp>=0.1", 'vllm==1; extra == "sim"']
    assert base_modules(told) == {"typst", "zmq", "httpx_aiohttp"}
    for module in base_modules(PROJECT["dependencies"]):
        __import__(module)
