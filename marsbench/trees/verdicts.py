"""Whose fast loops and macro steps give the events of vLLM's own, by the hash of its sources.

Of the pinned vLLM the project's own tests prove it at every change. Of another `marsbench vllm
check` does, and the verdict is remembered: of these sources, and of this state of our code.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from marsbench.outputs import save_text
from marsbench.trees import place
from marsbench.trees.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What a check came to.

    is_equal: every comparison gave the same events. worlds: how many small runs were compared.
    why: where they differ, the first that did.
    """

    is_equal: bool
    worlds: int
    why: str = ""

    @property
    def sentence(self) -> str:
        """For people."""
        if self.is_equal:
            return f"shortcuts give its own events in {self.worlds} small worlds, so they are taken"
        return f"shortcuts are off: {self.why}"


def verdict_on(tree: Tree, code: str) -> Proven | None:
    """What is remembered; None where it was never checked. code: the hash of our own."""
    try:
        return Proven(**json.loads(_file(tree, code).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def remember(tree: Tree, code: str, verdict: Proven) -> None:
    """Raises OSError."""
    file = _file(tree, code)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_text(file, json.dumps(asdict(verdict)) + "\n")


def _file(tree: Tree, code: str) -> Path:
    return place.verdicts() / f"{tree.sources[:32]}-{code[:16]}.json"
