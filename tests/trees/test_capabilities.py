"""What a vLLM can do, by its sources; a backend that needs more is told so before it plays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from marsbench.core.backends import Choice, choose
from marsbench.core.settings import EngineSettings
from marsbench.errors import UsageError
from marsbench.hardware.profile import load_hardware
from marsbench.offload.host_kv import host_kv
from marsbench.runs import scheduler
from marsbench.runs.request import RunRequest
from marsbench.runs.scheduler import check_capable, scheduler_choice
from marsbench.trees.capabilities import PLUGINS, capabilities
from marsbench.trees.imported import imported
from marsbench.trees.tree import Tree
from tests.trees.tiny import SCHEDULER, written

RULE = """
                if request.status == RequestStatus.PREEMPTED):
                    # a comment
                    continue
"""


def tree_with(root: Path, text: str) -> Tree:
    written(root)
    (root / SCHEDULER).write_text(text)
    return Tree(root=root, name="0.30.0", version="0.30.0", sources="3" * 64)


def asked(choice: Choice, **more: Any) -> RunRequest:
    return RunRequest(choice=choice, hardware=load_hardware(), **more)


def test_the_queue_of_those_that_hold_blocks_is_what_swapping_needs(tmp_path: Path) -> None:
    assert not capabilities(tree_with(tmp_path, "class Scheduler: ...")).swap
    assert capabilities(tree_with(tmp_path, "self.kv_holding_waiting = []")).swap


def test_the_rule_of_preemption_is_read(tmp_path: Path) -> None:
    assert capabilities(tree_with(tmp_path, "break")).preemption == "ends the step"
    assert capabilities(tree_with(tmp_path, RULE)).preemption == "goes on with the next"


def test_the_pinned_vllm_can_do_what_is_played_on_it() -> None:
    tree = imported()
    if tree is None:
        pytest.skip("vLLM is not installed")
    can = capabilities(tree)
    assert (can.swap, can.offloading, can.plugins) == (True, True, False)
    assert can.preemption == "goes on with the next"


@pytest.mark.parametrize(
    ("backend", "gib", "told"),
    [("infercept", None, "swaps KV blocks with"), ("fcfs", "2", "--host-kv")],
)
def test_what_it_lacks_is_told_where_it_is_asked_for(
    backend: str, gib: str | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tree_with(tmp_path, "class Scheduler: ...")
    monkeypatch.setattr(scheduler, "imported", lambda: tree)
    settings = EngineSettings(host_kv=host_kv(gib, None, None, None))
    with pytest.raises(UsageError, match=f"vLLM 0.30.0 has not .*{told}"):
        check_capable(asked(choose(backend), settings=settings))
    check_capable(asked(choose("fcfs")))


def test_plugins_are_asked_of_a_vllm_that_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tree_with(tmp_path, "class Scheduler: ...")
    monkeypatch.setattr(scheduler, "imported", lambda: tree)
    plugins = asked(scheduler_choice("vllm", ["preemption=mine:Mine"]), scheduler="vllm")
    with pytest.raises(UsageError, match=r"vLLM 0\.30\.0 has not the scheduler plugins"):
        check_capable(plugins)
    for name, text in PLUGINS.items():
        (tmp_path / "vllm" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "vllm" / name).write_text(text)
    check_capable(plugins)
    check_capable(asked(scheduler_choice("vllm"), scheduler="vllm"))


@pytest.mark.parametrize("text", ["victim=mine:Mine", "preemption=", "aging_s=3", "queue_sort"])
def test_what_is_no_plugin_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"--set {text} is no plugin"):
        scheduler_choice("vllm", [text])
