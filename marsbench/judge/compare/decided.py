"""Figures of what was decided, and under which cap: they say whether a comparison is one.

A part of a policy that never decided anything is not measured by switching it off, and a control
whose cap nobody searched is none.
"""

from __future__ import annotations

from typing import Literal

from marsbench.core.runs import RunSummary
from marsbench.core.runs.decisions import DECIDED, REASONS
from marsbench.core.runs.summary import CAP_SEARCH
from marsbench.judge.sweep.folder import Result

CAPPED = "fcfs-cap"
"""The backend whose cap is its only parameter."""


def differed(name: str) -> str:
    """The figure of how often this decision was other than vLLM's."""
    return f"num_{name}_differed"


def asked(name: str) -> str:
    """The figure of how often there was such a decision to take."""
    return f"num_{name}_asked"


LABELS = {
    "cap": "sessions in flight at most",
    "cap_searched": "share of runs that searched that cap",
    **{differed(name): words for name, words in DECIDED.items()},
    **{asked(name): f"{words}: of how many" for name, words in DECIDED.items()},
    **{f"num_held_back_{reason}": f"sessions held back by {reason}" for reason in REASONS},
}
"""What these figures are called; none has a better side."""


def decision_figures(summary: RunSummary) -> dict[str, float | None]:
    """How often each decision was other than vLLM's, and how often there was one to take."""
    return {
        **{differed(name): _count(summary, name, "differed") for name in DECIDED},
        **{asked(name): _count(summary, name, "asked") for name in DECIDED},
        **{f"num_held_back_{why}": _held_back(summary, why) for why in REASONS},
    }


def _count(summary: RunSummary, name: str, how: Literal["differed", "asked"]) -> float | None:
    decided = summary["decisions"]
    return None if decided is None or name not in decided else float(decided[name][how])


def _held_back(summary: RunSummary, reason: str) -> float | None:
    """None where sessions were held back and the controller did not say why."""
    decided = summary["decisions"]
    entries = None if decided is None else decided.get("admission")
    if entries is None or (entries["differed"] and not entries.get("reasons")):
        return None
    return float(entries.get("reasons", {}).get(reason, 0))


def cap_figures(result: Result) -> dict[str, float | None]:
    """Of a run under a fixed cap: the cap, and 1 where the run searched it, 0 where it was given.

    A backend of somebody's own that has a `cap` too is taken for one only where that was searched.
    """
    config = result.run.config
    cap, searched = config.params.get("cap"), CAP_SEARCH in config.settings
    if not isinstance(cap, int) or not (searched or config.backend == CAPPED):
        return {"cap": None, "cap_searched": None}
    return {"cap": float(cap), "cap_searched": float(searched)}
