"""Which tool calls burn CPU, as far as a gateway can know: it sees rounds, and what clients tell.

A pause is as often a person's as a tool's, so nothing counts as load without a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoadRules:
    """What is believed of calls whose client does not say whether they burn CPU.

    gaps_burn: whether a gap between two rounds of which nothing is known does.
    waiting_tools: names of calls that only wait; a call of any other name burns CPU.
    """

    gaps_burn: bool = False
    waiting_tools: frozenset[str] = frozenset({"user"})

    def call(self, name: str, told: bool | None) -> bool:
        """Whether a posted call burns CPU; `told` is what its client said, if it did."""
        return name not in self.waiting_tools if told is None else told

    def gap(self, tools: Sequence[str]) -> bool | None:
        """Whether a gap does; `tools` are the names that its round announced. None: not known."""
        if tools:
            return any(name not in self.waiting_tools for name in tools)
        return True if self.gaps_burn else None
