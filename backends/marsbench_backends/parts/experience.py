"""What Progress-TTL has seen of the last rounds of all sessions."""

from __future__ import annotations

import math

from marsbench_backends.parts.gaps import Gaps
from marsbench_backends.parts.progress import SegmentedProgram
from marsbench_backends.parts.rolling import Rolling
from marsbench_backends.signals import RoundEnded, RoundStarted

FOUND = 0.9
"""Of its context a round finds more than this, or its segment was interrupted."""


class Experience:
    """Means over the last `window` rounds; what a plan is made of waits until there are so many.

    growth: tokens by which a context grew in a round. rounds: continuous ones since a time to live
    ended. outputs, prompts: tokens. decodes: seconds from a first token to the end.
    """

    def __init__(self, window: int) -> None:
        self.gaps = Gaps(window)
        self.growth, self.rounds = Rolling(window), Rolling(window)
        self.outputs, self.prompts, self.decodes = Rolling(window), Rolling(window), Rolling(window)
        self._window = window

    @property
    def knows_gaps(self) -> bool:
        return len(self.gaps) == self._window

    @property
    def growth_per_round(self) -> float:
        """0 until it is known."""
        return self.growth.mean if self.rounds.is_full else 0.0

    def came(self, session_id: str, at: float) -> None:
        """Its next round is here."""
        gap = self.gaps.came(session_id, at)
        if gap is not None and gap > 0.0:
            self.gaps.add(gap)

    def started(self, one: SegmentedProgram, signal: RoundStarted) -> None:
        if not signal.resumed:
            found = signal.num_cached_tokens > FOUND * one.context
            one.found, one.first_token_at = found or not one.context, None

    def answered(self, one: SegmentedProgram, signal: RoundEnded) -> None:
        """Before the program is told."""
        self.gaps.ended(signal.session_id, signal.at)
        grown = signal.num_tokens - one.context
        if one.context and grown > 0:
            self.growth.add(grown)
        self.rounds.add(one.rounds_since_ttl + one.found)
        self.outputs.add(signal.num_output_tokens)
        self.prompts.add(signal.num_tokens - signal.num_output_tokens)
        if one.first_token_at is not None:
            self.decodes.add(signal.at - one.first_token_at)

    def target_rounds(self, most: int) -> int:
        """Rounds that a segment is expected to have: twice the mean, once that is known."""
        if not self.rounds.is_full:
            return 0
        return min(most, max(1, math.ceil(2.0 * self.rounds.mean)))

    def length_score(self, one: SegmentedProgram, at: float) -> float:
        """How much a segment had: its seconds, less where its context is large."""
        ratio = max(one.tokens / max(self.prompts.mean, 1e-6), 1e-6)
        return (at - one.began_at) * max(0.5, 1.0 / math.sqrt(ratio))
