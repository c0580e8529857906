"""One notion of the code that moves a number: what is in which part, and what changes its hash."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from marsbench.core import code
from marsbench.core.code import BACKENDS, DECIDES, RUN, CodeFiles, simulation_hash
from marsbench_backends.policies.fcfs import FCFS

PARTS = {"every policy": DECIDES, "run": RUN}
BOTH, RUNS = ("every policy", "run"), ("run",)

COUNTS: dict[str, tuple[str, ...]] = {
    "marsbench/core/session.py": BOTH,
    "marsbench/core/events.py": BOTH,
    "marsbench/core/workload/files.py": BOTH,
    "marsbench/hardware/tables.py": BOTH,
    "marsbench/hardware/data/gpus.toml": BOTH,
    "marsbench/hardware/data/steptime/h200-qwen3-coder-30b-bf16.json": BOTH,
    "marsbench/core/sim/merge.py": BOTH,
    "marsbench/core/entrance.py": BOTH,
    "marsbench/core/settings.py": BOTH,
    "marsbench/core/isolated.py": BOTH,
    "backends/marsbench_backends/scheduler.py": BOTH,
    "backends/marsbench_backends/vllm/queue.py": BOTH,
    "backends/marsbench_backends/policies/mars.py": RUNS,
    "backends/marsbench_backends/policies/mars_admission.py": RUNS,
    "marsbench/core/workload/generate.py": BOTH,
    "marsbench/runs/simulated.py": BOTH,
    "marsbench/core/metrics/goodput.py": BOTH,
    "marsbench/runs/summary.py": BOTH,
    "marsbench/core/workload/scaling.py": BOTH,
    "marsbench/wall/live/client.py": RUNS,
    "marsbench/gateway/control.py": RUNS,
    "workloads/ilr-1.toml": RUNS,
    "marsbench/report/tables.py": (),
    "marsbench/judge/compare/show.py": (),
    "marsbench/show/workload.py": (),
    "marsbench/show/hardware_plot.py": (),
    "marsbench/show/run.py": (),
    "marsbench/cli/main.py": (),
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
    moved = (tree / "marsbench/core/sim/merge.py").rename(tree / "marsbench/core/sim/m.py")
    after = hashes(tree)
    moved.rename(tree / "marsbench/core/sim/merge.py")
    assert all(before[name] != after[name] for name in PARTS)


@pytest.mark.parametrize("name", code.PINNED)
def test_another_version_of_what_is_pinned_changes_every_hash(
    name: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = hashes(tree), code.version
    monkeypatch.setattr(code, "version", lambda asked: "99" if asked == name else real(asked))
    if name == "vllm":  # it is known by what is imported
        monkeypatch.setattr(code, "imported", lambda: SimpleNamespace(identity="99"))
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
    every_policy, run = (set(part.files()) for part in PARTS.values())
    assert every_policy < run


def test_every_place_that_is_named_is_there() -> None:
    installed = {"marsbench/core/workload/recipes"}  # in a wheel; `workloads` in a checkout
    for part in PARTS.values():
        for place in {*part.places, *part.without} - installed:
            assert code._path(code.ROOT, place).exists(), place


def test_installed_the_backends_lie_beside(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "marsbench", tmp_path / "marsbench")
    shutil.copytree(tree / "backends" / BACKENDS, tmp_path / BACKENDS)
    part = CodeFiles((BACKENDS,))
    assert len(part.files(tmp_path)) == len(part.files(tree)) > 20


def test_a_policy_counts_for_its_own_runs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "own_policy.py"
    file.write_text("from marsbench_backends.policy import Policy\n\nclass Own(Policy): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = import_module("own_policy").Own
    before, fcfs = simulation_hash(own), simulation_hash(FCFS)
    file.write_text(file.read_text() + "# another\n")
    code._content.cache_clear()
    assert simulation_hash(own) != before != fcfs == simulation_hash(FCFS)
