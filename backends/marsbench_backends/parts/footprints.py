"""What memory a session will take: its first prompt's blocks, grown as sessions grow (MARS)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from marsbench_backends.admission import Candidate, EngineState
from marsbench_backends.parts.ewma import Ewma
from marsbench_backends.signals import RoundSubmitted, SessionEnded, Signal, ToolStarted


def cost_blocks(candidate: Candidate, state: EngineState) -> int:
    """A session's memory cost: the blocks of its first prompt (MARS_preview)."""
    return -(-candidate.num_prompt_tokens // state.block_size)


@dataclass(slots=True)
class Footprint:
    """A session's tokens of context, at first, now and at most; `paused_at`: since when its tools
    run (inf: not).
    """

    first_tokens: int
    tokens: int
    peak_tokens: int
    is_agent: bool
    paused_at: float = math.inf


class Footprints:
    """All live sessions' contexts, and `growth`: peak over first prompt of those that ended.

    reserves: whether what a session is projected to fill counts as in use.
    pause_s: a longer pause of tools gives a session's reservation back.
    """

    def __init__(self, growth: Ewma, reserves: bool, pause_s: float) -> None:
        self._growth = growth
        self._reserves = reserves
        self._pause_s = pause_s
        self._sessions: dict[str, Footprint] = {}

    def observe(self, signal: Signal) -> None:
        match signal:
            case ToolStarted() if signal.session_id in self._sessions:
                known = self._sessions[signal.session_id]
                known.paused_at = min(known.paused_at, signal.at)
            case RoundSubmitted(_, session_id, _, tokens, parent_id):
                new = Footprint(tokens, tokens, tokens, parent_id is not None)
                known = self._sessions.setdefault(session_id, new)
                known.tokens, known.paused_at = tokens, math.inf
                # A context that is compacted must fit before that: the peak is what it needs.
                known.peak_tokens = max(known.peak_tokens, tokens)
            case SessionEnded() if signal.session_id in self._sessions:
                known = self._sessions.pop(signal.session_id)
                if not known.is_agent:
                    self._growth.add(known.peak_tokens / known.first_tokens)

    def grown_blocks(self, candidate: Candidate, state: EngineState) -> int:
        """Blocks that a session will fill: its first prompt's, grown as those that ended had."""
        growth = (self._growth.value or 1.0) if self._reserves else 1.0
        return math.ceil(cost_blocks(candidate, state) * growth)

    def unreserved_blocks(self, state: EngineState) -> int | None:
        """Of the free blocks those that nobody is projected to fill; None if not measured."""
        if not self._reserves or state.free_blocks is None or state.num_blocks is None:
            return state.free_blocks
        return min(state.free_blocks, state.num_blocks - self.reserved_blocks(state))

    def reserved_blocks(self, state: EngineState) -> int:
        """Blocks of all sessions in flight and of their sub-agents, filled yet or not."""
        since = state.now - self._pause_s
        blocks = {c.session_id: self.grown_blocks(c, state) for c in state.in_flight}
        for session_id, known in self._sessions.items():
            filled = -(-known.tokens // state.block_size)
            kept = known.paused_at > since
            blocks[session_id] = max(blocks.get(session_id, 0), filled) if kept else 0
        return sum(blocks.values())
