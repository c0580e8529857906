"""What a vLLM can do, read from its sources: nothing is imported for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from marsbench.trees.sources import PACKAGE
from marsbench.trees.tree import Tree

OFFLOADING = {
    "distributed/kv_transfer/kv_connector/v1/offloading/common.py": "OffloadingWorkerMetadata",
    "v1/kv_offload/cpu/policies/base.py": "CachePolicy",
    "v1/simple_kv_offload/manager.py": "TransferMeta",
    "v1/simple_kv_offload/metadata.py": "SimpleCPUOffloadWorkerMetadata",
}
"""What `--host-kv` plays, by file. It was written for these names of 0.33.0 alone."""

PLUGINS = {
    "v1/core/sched/plugins/__init__.py": "PreemptionPlugin",
    "config/scheduler.py": "scheduler_plugin_profile",
}
"""RFC 51608's, as vLLM's pull request 51601 has them."""

_GOES_ON = re.compile(r"status == RequestStatus\.PREEMPTED\s*\)?:(\s*#[^\n]*)*\s*continue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What this vLLM has of what we ask of one.

    swap: requests that wait with blocks of their own have a queue, and are served first (0.31).
        Before, a swapped session can hold the last blocks and wait behind one that needs them.
    offloading: `--host-kv`.
    plugins: the queue-sort and preemption plugins of its RFC 51608. preemption: what happens when
    a request that needs blocks is the victim itself, under priorities.
    """

    swap: bool
    offloading: bool
    plugins: bool
    preemption: str


def capabilities(tree: Tree) -> Capabilities:
    """Those of a tree."""
    text = tree.scheduler()
    has_queue = "kv_holding_waiting" in text
    return Capabilities(
        swap=has_queue,
        offloading=has_queue and _has(tree, OFFLOADING),
        plugins=_has(tree, PLUGINS),
        preemption="goes on with the next" if _GOES_ON.search(text) else "ends the step",
    )


def _has(tree: Tree, words: Mapping[str, str]) -> bool:
    package = tree.root / PACKAGE
    files = ((package / name, word) for name, word in words.items())
    return all(file.is_file() and word in file.read_text("utf-8") for file, word in files)
