"""Runs on a vLLM that was changed, from the command line to their folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from marsbench.runs.event_file import open_events
from marsbench.trees.tree import Tree
from tests.trees.changed import changed

pytestmark = [pytest.mark.vllm, pytest.mark.processes]

TYPED = "run --scheduler-cls vllm --workload chat --sessions 16 --rate 50 --kv-blocks 400"
AT_ONCE = 6
RUNS = {
    "plain": [],
    "plugins": ["--set", "queue_sort=mine:Longest", "--set", "preemption=mine:Oldest"],
    "known": ["--set", "preemption=fcfs"],
}
WRONG = {
    "Unknown scheduler plugin: nobody": ["--set", "queue_sort=nobody"],
    "longest does not implement": ["--set", "preemption=mine:Longest"],
    "is no class with a name": ["--set", "preemption=mine:Nameless"],
    "module cannot be imported": ["--set", "preemption=nowhere_at_all:X"],
}
MINE = """
import time
from vllm.v1.core.sched.plugins import PreemptionPlugin, QueueSortPlugin
from vllm.v1.core.sched.request_queue import FCFSRequestQueue

SEEN = open("seen", "w")

class Queue(FCFSRequestQueue):
    def add_request(self, request):
        super().add_request(request)
        ordered = sorted(self, key=lambda request: -request.num_tokens)
        self.clear()
        self.extend(ordered)

class Longest(QueueSortPlugin):
    name = "longest"
    def create_request_queue(self):
        return Queue()

class Oldest(PreemptionPlugin):
    name = "oldest"
    def preemption_key(self, request, running_position):
        print(time.time(), file=SEEN, flush=True)
        return (-running_position,)

class Nameless(PreemptionPlugin):
    pass
"""
ALL = """
import json, sys
from contextlib import redirect_stderr
from io import StringIO
from marsbench.cli import main as cli
for words in json.loads(sys.argv[1]):
    sys.argv, told = ["marsbench", *words], StringIO()
    with redirect_stderr(told):
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    print(json.dumps({"code": code, "told": told.getvalue()}))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return changed(tmp_path_factory.mktemp("changed") / "tree", AT_ONCE)


@pytest.fixture(scope="module")
def place(tree: Tree) -> Path:
    """Where all of them ran, in one process, and what each told."""
    folder = tree.root.parent
    (folder / "mine.py").write_text(MINE)
    own = {**RUNS, **{str(number): words for number, words in enumerate(WRONG.values())}}
    typed = [
        [*TYPED.split(), "--vllm", str(tree.root), "-o", name, *words]
        for name, words in own.items()
    ]
    done = subprocess.run(
        [sys.executable, "-c", ALL, json.dumps(typed)],
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "printed").write_text(done.stdout)
    return folder


def ended(place: Path) -> list[Mapping[str, Any]]:
    """What each command ended with, in their order."""
    lines = (place / "printed").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"code"')]


def events(run: Path) -> list[dict[str, Any]]:
    with open_events(run) as lines:
        return [json.loads(line) for line in lines]


def most_running(run: Path) -> int:
    busy, most = 0, 0
    for event in events(run):
        busy += {"gpu_start": 1, "gpu_end": -1, "preempted": -1}.get(event["event"], 0)
        most = max(most, busy)
    return most


def test_it_is_the_changed_vllm_that_decides(place: Path) -> None:
    assert most_running(place / "plain") == AT_ONCE
    submitted = [event for event in events(place / "plain") if event["event"] == "gpu_submit"]
    assert len(submitted) > AT_ONCE  # else nobody would have waited anyway


def test_its_folder_says_what_was_imported_and_names_no_place(place: Path, tree: Tree) -> None:
    config = json.loads((place / "plain" / "run.json").read_text())
    told = config["code"]["vllm"]
    assert told["sources"] == tree.sources
    assert (told["commit"], told["dirty"], told["is_pinned"]) == (tree.commit, True, False)
    assert tree.label in (place / "printed").read_text()
    assert config["backend"] == "vllm"


def test_vllm_itself_says_nothing(place: Path) -> None:
    words = {line.split(" ", 1)[0] for line in (place / "printed").read_text().splitlines()}
    assert not words & {"INFO", "WARNING", "ERROR"}


def test_shortcuts_are_off_and_it_says_what_to_type(place: Path) -> None:
    summary = json.loads((place / "plain" / "summary.json").read_text())
    cautions = {note["code"]: note["text"] for note in summary["cautions"]}
    assert "marsbench vllm check changed" in cautions["SHORTCUTS_OFF"]
    assert "c0ffee0" in cautions["DIRTY_VLLM"]
    assert cautions.keys() >= {"ALONE_PINNED"}


def test_plugins_sort_the_queue_and_name_the_victim_on_the_runs_clock(place: Path) -> None:
    own, plain = events(place / "plugins"), events(place / "plain")
    assert own != plain
    assert events(place / "known") == plain  # fcfs is what it does without any
    summary = json.loads((place / "plugins" / "summary.json").read_text())
    assert summary["valid"], summary["reasons"]
    assert summary["params"] == {"queue_sort": "mine:Longest", "preemption": "mine:Oldest"}
    preempted = {e["at"] for e in own if e["event"] == "preempted"}
    asked = [float(line) for line in (place / "seen").read_text().splitlines()]
    assert preempted
    assert preempted <= set(asked)
    assert max(asked) <= own[-1]["at"]


def test_a_plugin_that_does_not_go_there_is_told_in_a_sentence(place: Path) -> None:
    ends = ended(place)
    assert [end["code"] for end in ends] == [0] * len(RUNS) + [2] * len(WRONG)
    for told, end in zip(WRONG, ends[len(RUNS) :], strict=True):
        assert told in " ".join(end["told"].split())
    assert not (place / "0").exists()
