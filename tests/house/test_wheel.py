"""The wheel carries both packages and their data."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from house.sources import ROOT

pytest.importorskip("hatchling")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(out.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


def shipped(folder: str, pattern: str, to: str) -> set[str]:
    base = ROOT / folder
    return {f"{to}/{path.relative_to(base).as_posix()}" for path in base.rglob(pattern)}


@pytest.mark.parametrize(
    ("folder", "pattern", "to"),
    [
        ("marsbench", "*.py", "marsbench"),
        ("marsbench", "*.toml", "marsbench"),
        ("marsbench", "*.j2", "marsbench"),
        ("backends/marsbench_backends", "*.py", "marsbench_backends"),
        ("workloads", "*.toml", "marsbench/core/workload/recipes"),
    ],
)
def test_wheel_has_everything_under(folder: str, pattern: str, to: str, names: set[str]) -> None:
    assert shipped(folder, pattern, to) <= names


def test_wheel_has_nothing_else(names: set[str]) -> None:
    roots = {Path(name).parts[0].partition("-")[0] for name in names}
    assert roots == {"marsbench", "marsbench_backends"}
