"""A run on a vLLM that was changed, from the command line to its folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from marsbench.runs.event_file import open_events
from marsbench.trees.imported import imported
from marsbench.trees.sources import PACKAGE, SCHEDULER
from marsbench.trees.tree import Tree, keep, read

pytestmark = [pytest.mark.vllm, pytest.mark.processes]

TYPED = "run --scheduler-cls vllm --workload chat --sessions 6 --rate 20 --kv-blocks 2000"
LIMIT = "self.max_num_active_reqs"


def changed(root: Path) -> Tree:
    """The pinned vLLM with one request at a time; all but its scheduler are links."""
    tree = imported()
    assert tree is not None
    package = tree.root / PACKAGE
    for folder in ("", "v1", "v1/core", "v1/core/sched"):
        (root / PACKAGE / folder).mkdir(parents=True, exist_ok=True)
        for entry in (package / folder).iterdir():
            link = root / PACKAGE / folder / entry.name
            if not SCHEDULER.startswith(f"{folder}/{entry.name}".lstrip("/")):
                link.symlink_to(entry)
    text = (package / SCHEDULER).read_text("utf-8")
    before = text.index(f"{LIMIT} =")
    end = text.index("\n\n", before)
    own = f"{text[:end]}\n        {LIMIT} = 1{text[end:]}"
    (root / PACKAGE / SCHEDULER).write_text(own)
    shutil.rmtree(root / PACKAGE / "__pycache__", ignore_errors=True)
    keep(root, "changed", "0.33.0", "c0ffee0" * 5, True)
    found = read(root)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tree, str]:
    place = tmp_path_factory.mktemp("changed")
    tree = changed(place / "tree")
    command = [sys.executable, "-m", "marsbench", *TYPED.split(), "--vllm", str(tree.root)]
    done = subprocess.run(
        [*command, "-o", "out"],
        cwd=place,
        env={**os.environ, "XDG_CACHE_HOME": str(place / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return place / "out", tree, done.stdout


def events(run: Path) -> list[dict[str, Any]]:
    with open_events(run) as lines:
        return [json.loads(line) for line in lines]


def test_it_is_the_changed_vllm_that_decides(run: tuple[Path, Tree, str]) -> None:
    busy, waited, most = 0, 0, 0
    for event in events(run[0]):
        busy += {"gpu_start": 1, "gpu_end": -1}.get(event["event"], 0)
        waited += event["event"] == "gpu_submit" and busy > 0
        most = max(most, busy)
    assert most == 1
    assert waited > 3  # else nobody would have run beside another anyway


def test_its_folder_says_what_was_imported_and_names_no_place(
    run: tuple[Path, Tree, str],
) -> None:
    folder, tree, printed = run
    config = json.loads((folder / "run.json").read_text())
    told = config["code"]["vllm"]
    assert told["sources"] == tree.sources
    assert (told["commit"], told["dirty"], told["is_pinned"]) == (tree.commit, True, False)
    assert tree.label in printed
    assert config["backend"] == "vllm"


def test_shortcuts_are_off_and_it_says_what_to_type(run: tuple[Path, Tree, str]) -> None:
    summary = json.loads((run[0] / "summary.json").read_text())
    cautions = {note["code"]: note["text"] for note in summary["cautions"]}
    assert "marsbench vllm check changed" in cautions["SHORTCUTS_OFF"]
    assert "c0ffee0" in cautions["DIRTY_VLLM"]
    assert cautions.keys() >= {"ALONE_PINNED"}
