"""What a verdict may be, and the thresholds by which it is reached."""

from __future__ import annotations

from typing import Literal, NamedTuple

from marsbench.text.numbers import UNMEASURED

Verdict = Literal["reached", "partly", "not reached", "not exercised", "not measured", "ours alone"]

NEAR = 0.9
"""A published figure is reached at nine tenths of it."""
AHEAD = 1.1
"""From this ratio on there is a gain at all; below it the verdict is "not reached"."""
CONTENDED = 0.9
"""A place is contended when FCFS serves less than this share of sessions within 3 times alone."""
COLLAPSED, SUSTAINED = 0.35, 0.7
"""Goodput(3) at a regime's highest load over that at its lowest: gone, and kept."""
KEPT = 0.9
"""Throughput at the highest load over the regime's best: near-constant from here on."""


class Finding(NamedTuple):
    """Our number in words, what it comes to, and why where that is known from the runs."""

    ours: str
    verdict: Verdict
    why: str = ""


def graded(text: str, reached: bool, partly: bool) -> Finding:
    """A finding that is reached, else partly, else not."""
    return Finding(text, "reached" if reached else "partly" if partly else "not reached")


NOTHING = Finding(UNMEASURED, "not measured")


def against(ratio: float, published: float) -> Verdict:
    """The common rule: near the published ratio, a gain at all, or none."""
    if ratio >= NEAR * published:
        return "reached"
    return "partly" if ratio >= AHEAD else "not reached"
