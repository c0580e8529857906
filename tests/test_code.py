"""One notion of the code that moves a number: what is in which part, and what changes its hash."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from marsbench import code
from marsbench.code import BACKENDS, RUN, SIMULATION, TIMES_ALONE, Code

PARTS = {"times alone": TIMES_ALONE, "simulation": SIMULATION, "run": RUN}
ALL, NOT_ALONE, LIVE = ("times alone", "simulation", "run"), ("simulation", "run"), ("run",)

COUNTS: dict[str, tuple[str, ...]] = {
    "marsbench/session.py": ALL,
    "marsbench/events.py": ALL,
    "marsbench/workload/files.py": ALL,
    "marsbench/hardware/tables.py": ALL,
    "marsbench/hardware/data/gpus.toml": ALL,
    "marsbench/hardware/data/steptime/h200-qwen3-coder-30b-bf16.json": ALL,
    "marsbench/engine/sim/merge.py": ALL,
    "marsbench/engine/entrance.py": ALL,
    "marsbench/engine/settings.py": ALL,
    "marsbench/engine/isolated.py": ALL,
    "backends/marsbench_backends/scheduler.py": ALL,
    "backends/marsbench_backends/vllm_queue.py": ALL,
    "backends/marsbench_backends/mars.py": NOT_ALONE,
    "backends/marsbench_backends/mars_admission.py": NOT_ALONE,
    "marsbench/workload/generate.py": NOT_ALONE,
    "marsbench/engine/simulated.py": NOT_ALONE,
    "marsbench/metrics/goodput.py": NOT_ALONE,
    "marsbench/runs/summary.py": NOT_ALONE,
    "marsbench/sweep/scaling.py": NOT_ALONE,
    "marsbench/engine/live/client.py": LIVE,
    "marsbench/gateway/control.py": LIVE,
    "workloads/ilr-1.toml": LIVE,
    "marsbench/report/tables.py": (),
    "marsbench/compare/show.py": (),
    "marsbench/workload/show.py": (),
    "marsbench/hardware/plot.py": (),
    "marsbench/tables.py": (),
    "marsbench/cli.py": (),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of one's own, to change."""
    root = tmp_path_factory.mktemp("checkout")
    for folder in ("marsbench", "backends", "workloads"):
        shutil.copytree(code.ROOT / folder, root / folder)
    return root


def hashes(root: Path) -> dict[str, str]:
    return {name: part.hash_in(root) for name, part in PARTS.items()}


@pytest.mark.parametrize("file", COUNTS)
def test_a_changed_file_changes_the_hashes_that_it_counts_for(file: str, tree: Path) -> None:
    before, content = hashes(tree), (tree / file).read_bytes()
    (tree / file).write_bytes(content + b"\n")
    after = hashes(tree)
    (tree / file).write_bytes(content)
    assert tuple(name for name in PARTS if before[name] != after[name]) == COUNTS[file]


def test_a_copy_of_the_code_has_its_hash(tree: Path) -> None:
    assert hashes(tree) == {name: part.hash for name, part in PARTS.items()}


def test_a_file_under_another_name_is_other_code(tree: Path) -> None:
    before = hashes(tree)
    moved = (tree / "marsbench/engine/sim/merge.py").rename(tree / "marsbench/engine/sim/m.py")
    after = hashes(tree)
    moved.rename(tree / "marsbench/engine/sim/merge.py")
    assert all(before[name] != after[name] for name in PARTS)


@pytest.mark.parametrize("name", code.PINNED)
def test_another_version_of_what_is_pinned_changes_every_hash(
    name: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = hashes(tree), code.version
    monkeypatch.setattr(code, "version", lambda asked: "99" if asked == name else real(asked))
    after = hashes(tree)
    assert all(before[part] != after[part] for part in PARTS)


def test_another_python_changes_every_hash_and_its_patch_none(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for python in (("3", "12", "1"), ("3", "12", "9"), ("3", "13", "0")):
        monkeypatch.setattr(code.platform, "python_version_tuple", lambda python=python: python)
        found.append(hashes(tree)["run"])
    assert found[0] == found[1] != found[2]


def test_each_part_is_in_the_next() -> None:
    alone, simulation, run = (set(part.files()) for part in PARTS.values())
    assert alone < simulation < run


def test_every_place_that_is_named_is_there() -> None:
    installed = {"marsbench/workload/recipes"}  # in a wheel; `workloads` in a checkout
    for part in PARTS.values():
        for place in {*part.places, *part.without} - installed:
            assert code._path(code.ROOT, place).exists(), place


def test_installed_the_backends_lie_beside(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "marsbench", tmp_path / "marsbench")
    shutil.copytree(tree / "backends" / BACKENDS, tmp_path / BACKENDS)
    part = Code((BACKENDS,))
    assert len(part.files(tmp_path)) == len(part.files(tree)) > 20
