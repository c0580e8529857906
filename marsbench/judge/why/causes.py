"""The causes of a slowdown, in seconds, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import fsum

LABELS = {
    "admission_s": "waiting for admission",
    "queue_s": "queued in the engine",
    "recompute_s": "recomputing what was lost",
    "found_s": "found of others' work",
    "contention_s": "longer steps than alone",
    "agents_s": "sub-agents",
    "tools_s": "tools stretched",
    "rest_s": "not told apart",
}


_HEADS = ("admission", "queued", "recomp.", "found", "steps", "agents", "tools", "rest")
SHORT = dict(zip(LABELS, _HEADS, strict=True))
"""Names of the causes over narrow columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
    """Seconds of completion - ideal, which they add up to; None where a run cannot tell.

    admission_s: from arrival to admission. queue_s: submitted, or preempted, and not running.
    recompute_s: prefill, at the price that it has alone, of tokens that were computed before and
        lost. found_s: the same of tokens that alone would be computed and were found, so at most 0.
    contention_s: what steps took beyond that, since others were in them.
    agents_s: all of these of the sub-agents that were waited for. Where some run side by side it
        has tools_s too, which is then 0: alone they share steps, and no event says what that takes.
    tools_s: the pauses, less agents_s, less what they take alone. That is ideal less the rounds
        alone, so it is what is left of the whole: no event says how long a call takes alone.
    rest_s: what is left where the step times are not modelled: rounds and pauses together.
    """

    admission_s: float | None = None
    queue_s: float | None = None
    recompute_s: float | None = None
    found_s: float | None = None
    contention_s: float | None = None
    agents_s: float | None = None
    tools_s: float | None = None
    rest_s: float | None = None

    @property
    def known(self) -> dict[str, float]:
        """Those that can be told, in order."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def total_s(self) -> float:
        """All that can be told."""
        return fsum(self.known.values())


def mean(of: Sequence[Causes]) -> Causes:
    """Of each cause, over sessions or runs, as `alike` tells them: the mean adds up too."""
    own = alike(of)
    names = own[0].known if own else ()
    return Causes(**{name: fsum(one.known[name] for one in own) / len(own) for name in names})


def alike(of: Sequence[Causes]) -> list[Causes]:
    """The same, each told by the causes that all of them can tell; rest_s is what is left."""
    told = [name for name in LABELS if name != "rest_s" and all(name in one.known for one in of)]
    left = [[v for name, v in one.known.items() if name not in told] for one in of]
    rests = [fsum(values) if any(left) else None for values in left]
    return [
        Causes(**{name: one.known[name] for name in told}, rest_s=rest_s)
        for one, rest_s in zip(of, rests, strict=True)
    ]
