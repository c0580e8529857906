"""Sessions with a long first prompt, which enter by rules of their own (MARS as released)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from marsbench_backends.admission import Candidate, EngineState
from marsbench_backends.parts.footprints import cost_blocks
from marsbench_backends.parts.in_turn import in_turn
from marsbench_backends.signals import SessionEnded, Signal


@dataclass(slots=True)
class LongSessions:
    """Long is a first prompt of `tokens` or more; at most `most` of them are in flight.

    quiet_s: seconds without a short session that enters before a long one is inserted.
    tail_share: of the free blocks that they may fill once only they are left.
    """

    tokens: int
    most: int
    quiet_s: float
    tail_share: float
    _short_seen_at: float = field(default=-math.inf, init=False)
    _shorts: frozenset[str] = field(default=frozenset(), init=False)

    def is_long(self, candidate: Candidate) -> bool:
        return candidate.num_prompt_tokens >= self.tokens

    def are_all(self, candidates: Iterable[Candidate]) -> bool:
        """Whether no short one is among them."""
        return all(self.is_long(c) for c in candidates)

    def look(self, state: EngineState) -> None:
        """Remember when a short session was last seen to have entered."""
        shorts = frozenset(c.session_id for c in state.in_flight if not self.is_long(c))
        if shorts - self._shorts:
            self._short_seen_at = state.now
        self._shorts = shorts

    def observe(self, signal: Signal) -> None:
        if isinstance(signal, SessionEnded):
            self._shorts -= {signal.session_id}

    def is_quiet(self, state: EngineState) -> bool:
        """Whether no short session has just entered."""
        return not state.in_flight or state.now - self._short_seen_at >= self.quiet_s

    def fill(
        self,
        queue: Sequence[Candidate],
        state: EngineState,
        slots: int,
        room: int | None,
        opens: bool,
    ) -> list[Candidate]:
        """In order, passing over whoever does not fit; long ones enter only if that `opens`.

        room: blocks that they may fill; None for no check.
        """
        longs = sum(self.is_long(c) for c in state.in_flight)
        chosen: list[Candidate] = []
        for candidate in queue:
            cost, long = cost_blocks(candidate, state), self.is_long(candidate)
            barred = long and (not opens or longs >= self.most)
            if len(chosen) >= slots or barred or (room is not None and cost > room):
                continue
            chosen.append(candidate)
            longs += long
            room = None if room is None else room - cost
        return chosen

    def drain(self, waiting: Sequence[Candidate], state: EngineState, window: int) -> list[str]:
        """Only long sessions are left: by age, as many as free blocks hold, `window` in flight."""
        longs = [c for c in state.in_flight if self.is_long(c)]
        filled = sum(cost_blocks(c, state) for c in longs)
        room = self.tail_share * (state.free_blocks or 0) - filled
        slots = window - len(state.in_flight)
        if len(longs) < len(state.in_flight):
            slots = min(slots, 1)
        asked = in_turn(waiting, partial(cost_blocks, state=state), slots, room)
        chosen = [c.session_id for c, has_place, fits in asked if has_place and fits]
        return chosen if chosen or longs else [waiting[0].session_id]
