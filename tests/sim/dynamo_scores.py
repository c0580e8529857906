"""Run by the Python of `.venv-dynamo`: what Dynamo's own RadixTree finds, a line for each question.

A line of stdin is a JSON list: ["stored", worker, block, parent or null], ["removed", worker,
block], ["gone", worker] or ["find", [block, …]]; the answer is {worker: leading blocks}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from dynamo._core import RadixTree


def main() -> None:
    tree = RadixTree()
    for number, line in enumerate(sys.stdin):
        what, *facts = json.loads(line)
        if what == "find":
            scores = tree.find_matches(facts[0]).scores
            print(json.dumps({worker: blocks for (worker, _), blocks in scores.items()}))
        elif what == "gone":
            tree.remove_worker(facts[0])
        else:
            event = {"event_id": number, "data": told(what, *facts[1:]), "dp_rank": 0}
            tree.apply_event(facts[0], json.dumps(event).encode())


def told(what: str, block: int, parent: int | None = None) -> dict[str, Any]:
    """As vLLM's events are passed on. Equal hashes are equal blocks, alone and behind a prefix."""
    if what == "removed":
        return {"removed": {"block_hashes": [block]}}
    blocks = [{"block_hash": block, "tokens_hash": block}]
    return {"stored": {"parent_hash": parent, "blocks": blocks}}


if __name__ == "__main__":
    main()
