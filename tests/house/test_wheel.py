"""The wheel carries both packages and their data."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import hatch_build
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
        ("marsbench", "*.c", "marsbench"),
        ("marsbench", "*.j2", "marsbench"),
        ("backends/marsbench_backends", "*.py", "marsbench_backends"),
        ("workloads", "*.toml", "marsbench/core/workload/recipes"),
        ("requirements", "lock.txt", "marsbench/setup/requirements"),
        ("requirements", "torch.txt", "marsbench/setup/requirements"),
        ("requirements", "uv.txt", "marsbench/setup/requirements"),
        ("requirements", "vllm.*", "marsbench/setup/requirements"),
    ],
)
def test_wheel_has_everything_under(folder: str, pattern: str, to: str, names: set[str]) -> None:
    assert shipped(folder, pattern, to) <= names


def test_wheel_has_nothing_else(names: set[str]) -> None:
    roots = {Path(name).parts[0].partition("-")[0] for name in names}
    assert roots == {"marsbench", "marsbench_backends"}


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_wheel_has_the_compiled_loops_of_this_source(names: set[str]) -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    assert f"marsbench/shortcuts/_blocks{suffix}" in names
    assert hatch_build.is_of(
        ROOT / f"marsbench/shortcuts/_blocks{suffix}", ROOT / hatch_build.SOURCE
    )


def test_without_a_compiler_nothing_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", str(tmp_path / "no-such-compiler"))
    built = tmp_path / "_blocks.so"
    assert not hatch_build.compiled(ROOT / hatch_build.SOURCE, built)
    assert list(tmp_path.iterdir()) == []


def test_another_source_is_compiled_anew(tmp_path: Path) -> None:
    built, source = tmp_path / "b.so", tmp_path / "b.c"
    source.write_text("/* one */")
    built.write_text(f"… {hatch_build.sha256(source)} …")
    assert hatch_build.is_of(built, source)
    source.write_text("/* another */")
    assert not hatch_build.is_of(built, source)
