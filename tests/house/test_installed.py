"""What a user gets who never clones: the sdist, the wheel built of it, and that in a bare
environment outside of the clone, without vLLM.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import check_dist
from check_dist import UV
from export.conftest import EVENTS, written
from house.sources import ROOT
from marsbench.outputs import unpack
from marsbench.setup.installer import Installer

pytest.importorskip("hatchling")
pytest.importorskip("uv")
pytestmark = pytest.mark.processes

VERBS = """
import sys
from marsbench.cli.main import main
for words in (["show", "fcfs"], ["compare", "fcfs", "mars"], ["explore", "mars", "-o", "x.html"]):
    sys.argv = ["marsbench", *words]
    try:
        main()
    except SystemExit as end:
        print("code", words[0], end.code or 0)
"""
"""Several verbs in one process: the imports, not compiled yet, cost more than all else."""
HARDWARE = {
    "id": "h200:qwen3-coder-30b:bf16", "model": "qwen3-coder-30b", "gpu": "h200",
    "precision": "bf16", "kv_dtype": "bf16", "kv_tokens": 1600, "hash": "of another profile",
}  # fmt: skip


def done(
    command: Sequence[str], cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that is built of what it holds, as `python -m build` does."""
    place = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(place)]
    made = done([*build, "-t", "sdist"], ROOT)
    assert made.returncode == 0, made.stderr
    with tarfile.open(next(place.glob("*.tar.gz"))) as archive:
        unpack(archive, place / "source")
    (source,) = (place / "source").iterdir()
    made = done([*build, "-t", "wheel"], source)
    assert made.returncode == 0, made.stderr
    shutil.rmtree(place / "source")
    return place


@pytest.fixture(scope="module")
def uv() -> dict[str, str]:
    return dict(Installer.of(UV, ROOT / ".venv", Path(sys.executable)).env)


@pytest.fixture(scope="module")
def bare(dist: Path, uv: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bin/` of an environment that holds the wheel and what it asks for."""
    place = tmp_path_factory.mktemp("bare")
    made = done([*UV, "venv", "--quiet", "--python", sys.executable, str(place / "env")], place, uv)
    assert made.returncode == 0, made.stderr
    install = [*UV, "pip", "install", "--quiet", "--python", str(place / "env")]
    if done([*install, "--dry-run", "typer"], place, uv).returncode:
        pytest.skip("no index can be reached that has typer")
    (wheel,) = dist.glob("*.whl")
    made = done([*install, str(wheel)], place, uv)
    assert made.returncode == 0, made.stderr
    return place / "env" / "bin"


def typed(bare: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    ours = ("PYTHON", "MARSBENCH_", "CI")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    env |= {"XDG_CACHE_HOME": str(cwd / "cache"), "COLUMNS": "200", "VIRTUAL_ENV": ""}
    return done([str(bare / words[0]), *words[1:]], cwd, env)


def test_twine_finds_nothing_wrong(dist: Path) -> None:
    checked = check_dist.check(dist)
    if checked is None:
        pytest.skip(check_dist.NO_TWINE)
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count("PASSED") == 2


def test_it_holds_all_that_reads_runs_and_says_what_it_lacks(bare: Path, tmp_path: Path) -> None:
    assert typed(bare, "marsbench", "--version", cwd=tmp_path).stdout == "marsbench 0.1.0\n"
    doctor = typed(bare, "marsbench", "doctor", "--json", cwd=tmp_path)
    found = {one["what"]: one for one in json.loads(doctor.stdout)["checks"]}
    assert doctor.returncode == 1
    assert found["base modules"]["found"] == "all"
    assert found["vLLM"]["found"] is None
    assert found["vLLM"]["cure"].startswith("`marsbench setup`")


def test_a_run_is_refused_in_one_sentence(bare: Path, tmp_path: Path) -> None:
    refused = typed(bare, "marsbench", "run", "--backend", "fcfs", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.startswith("marsbench: This needs vLLM")
    assert "type `marsbench setup`" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_runs_can_be_shown_compared_and_explored(bare: Path, tmp_path: Path) -> None:
    for backend in ("fcfs", "mars"):
        written(tmp_path / backend, EVENTS, backend=backend, params={}, hardware=HARDWARE)
    looked = typed(bare, "python", "-c", VERBS, cwd=tmp_path)
    assert [line for line in looked.stdout.splitlines() if line.startswith("code ")] == [
        "code show 0",
        "code compare 0",
        "code explore 0",
    ], looked.stderr
    assert "fcfs" in looked.stdout
    assert (tmp_path / "x.html").stat().st_size > 10_000
