"""`python -m studies.vllm_matrix.play VERSION FOLDER`: one vLLM, since a process imports one."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from marsbench import api
from marsbench.core.proven import are_proven, keep, verdict
from marsbench.errors import UsageError
from marsbench.proof.check import WORLDS, check
from marsbench.text.progress import progress_bar
from marsbench.trees.asked import tree_of
from marsbench.trees.capabilities import capabilities
from marsbench.trees.imported import imported, use

WORLD: dict[str, Any] = {
    "workload": "chat",
    "sessions": 60,
    "rate": 6.0,
    "seed": 1,
    "kv_blocks": 1500,
}
"""Chats on so few KV blocks that decodes outgrow them: requests are preempted all the time."""

SCHEDULERS: dict[str, dict[str, Any]] = {
    "vllm": {"scheduler_cls": "vllm"},
    **{name: {"backend": name} for name in ("fcfs", "mars", "infercept")},
}
FACTS = "facts.json"


def play(version: str, folder: Path) -> None:
    """What is still to be played of one vLLM, and what is known of it."""
    use(tree_of(version))
    tree = imported()
    assert tree is not None
    if verdict(tree) is None:
        with progress_bar(f"vLLM {tree.label}, small worlds", WORLDS) as done:
            keep(check(done))
        are_proven.cache_clear()
    missing = {name: _played(folder / name, own) for name, own in SCHEDULERS.items()}
    found = verdict(tree)
    assert found is not None
    facts = {**tree.facts, **asdict(capabilities(tree)), "label": tree.label}
    facts |= {"missing": missing, "check": asdict(found), "is_pinned": tree.is_pinned}
    (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n")


def _played(folder: Path, own: dict[str, Any]) -> str:
    """Empty, or why it cannot be asked of this vLLM."""
    try:
        if not (folder / "summary.json").is_file():
            api.run(**WORLD, **own, output=folder)
    except UsageError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    play(sys.argv[1], Path(sys.argv[2]))
