"""How often what decides was asked, and how often it answered other than vLLM would have.

docs/metrics.md defines each count; `decisions.json` holds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NotRequired, TypedDict


class Decision(TypedDict):
    """Times asked, and times answered other than vLLM would have.

    reasons: of sessions held back at the entrance, how many for each reason that was given.
    """

    asked: int
    differed: int
    reasons: NotRequired[Mapping[str, int]]


Decisions = Mapping[str, Decision]
"""By what is decided: the keys of `DECIDED`."""

DECIDED = {
    "waiting_order": "fronts of the queue",
    "running_order": "orders of the batch",
    "victim": "victims",
    "chunk": "rounds with chunks cut",
    "shrink": "chunks shrunk",
    "retain": "pauses kept",
    "hold": "holds under pressure",
    "reclaim": "holds given up",
    "admission": "sessions held back",
}
"""What "differed" counts, in words."""

REASONS = ("window", "cut_window", "kv", "reserve")
"""What holds a session back under `mars`."""


def told(decisions: Decisions) -> Iterator[str]:
    """ "victims 3 of 8", for all that was asked at all."""
    for name, words in DECIDED.items():
        if name in decisions and decisions[name]["asked"]:
            count = decisions[name]
            why = ", ".join(f"{why} {n:,}" for why, n in count.get("reasons", {}).items())
            text = f"{words} {count['differed']:,} of {count['asked']:,}"
            yield f"{text} ({why})" if why else text
