"""`python -m studies.vllm_matrix.play VERSION FOLDER`: one vLLM, since a process imports one."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from marsbench import api
from marsbench.core.events import Event
from marsbench.core.proven import are_proven, keep, verdict
from marsbench.errors import UsageError
from marsbench.hardware.profile import load_hardware
from marsbench.proof.check import BACKENDS, WORLDS, check
from marsbench.proof.worlds import world
from marsbench.text.progress import progress_bar
from marsbench.trees.asked import tree_of
from marsbench.trees.capabilities import capabilities
from marsbench.trees.imported import imported, use

WORLD: dict[str, Any] = {
    "workload": "chat",
    "sessions": 30,
    "rate": 6.0,
    "seed": 1,
    "kv_blocks": 800,
}
"""Chats on so few KV blocks that decodes outgrow them: requests are preempted all the time."""

SCHEDULERS: dict[str, dict[str, Any]] = {
    "vllm": {"scheduler_cls": "vllm"},
    **{name: {"backend": name} for name in ("fcfs", "infercept")},
}
FACTS = "facts.json"
NUM_WORLDS = 30
IN_WORLDS = ("vllm", *BACKENDS)
"""Who plays the small random worlds of `marsbench vllm check` too, under more pressure."""


def play(version: str, folder: Path) -> None:
    """What is still to be played of one vLLM, and what is known of it."""
    use(tree_of(version))
    tree = imported()
    assert tree is not None
    if verdict(tree) is None:
        with progress_bar(f"vLLM {tree.label}, small worlds", WORLDS) as done:
            keep(check(done))
        are_proven.cache_clear()
    for name in IN_WORLDS if capabilities(tree).swap else IN_WORLDS[:-1]:
        for seed in range(NUM_WORLDS):
            _in_world(folder, name, seed)
    missing = {name: _played(folder / name, own) for name, own in SCHEDULERS.items()}
    found = verdict(tree)
    assert found is not None
    facts = {**tree.facts, **asdict(capabilities(tree)), "label": tree.label}
    facts |= {"missing": missing, "check": asdict(found), "is_pinned": tree.is_pinned}
    (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n")


def world_file(folder: Path, name: str, seed: int) -> Path:
    """The events of one scheduler in one world."""
    return folder / "worlds" / f"{name}-{seed}.jsonl"


def _in_world(folder: Path, name: str, seed: int) -> None:
    from marsbench.core.sim.simulation import SimConfig, Simulation

    file = world_file(folder, name, seed)
    if file.is_file():
        return
    one, seen = world(seed), list[Event]()
    config = SimConfig(load_hardware(), one.settings, None if name == "vllm" else name)
    Simulation(config, seen.append).run(one.sessions)
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{event.to_json()}\n" for event in seen))


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
