"""What a policy and a controller decide, in words; docs/metrics.md defines each count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

DECIDED = {
    "waiting_order": "fronts of the queue",
    "running_order": "orders of the batch",
    "victim": "victims",
    "chunk": "rounds with chunks cut",
    "shrink": "chunks shrunk",
    "retain": "pauses kept",
    "hold": "holds under pressure",
    "reclaim": "holds given up",
    "eviction_order": "blocks ranked",
    "admission": "sessions held back",
}
"""What "differed" counts."""

REASONS = ("window", "cut_window", "kv", "reserve")
"""What holds a session back under `mars`."""


def told(decisions: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """ "victims 3 of 8", for all of a run's decisions that were asked for at all."""
    for name, words in DECIDED.items():
        if name in decisions and decisions[name]["asked"]:
            count = decisions[name]
            why = ", ".join(f"{why} {n:,}" for why, n in count.get("reasons", {}).items())
            text = f"{words} {count['differed']:,} of {count['asked']:,}"
            yield f"{text} ({why})" if why else text
