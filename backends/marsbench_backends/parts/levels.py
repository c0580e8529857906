"""Feedback levels of sessions: demoted by the service they had, promoted while they wait.

A level is the number of `edges` (tokens) that a session's service, or the first prompt it came
with, has reached; 0 goes first. Each `aging_s` of a wait lifts it by one, `promotion_max` times at
most, and what a wait has earned lasts until the round ends.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass

from marsbench_backends.signals import (
    RoundEnded,
    RoundPreempted,
    RoundStarted,
    RoundSubmitted,
    SessionEnded,
    Signal,
)


@dataclass(slots=True)
class Rank:
    """Where a session stands.

    served: tokens of service, up to its last stretch of running; cached: what it found computed
    when the present one began. promote_at: when its present wait lifts it, time by time.
    """

    first_tokens: int
    served: int = 0
    cached: int = 0
    promoted: int = 0
    promote_at: tuple[float, ...] = ()


class SessionLevels:
    """The levels of all live sessions."""

    def __init__(self, edges: Sequence[int], aging_s: float, promotion_max: int) -> None:
        if list(edges) != sorted(edges) or any(e < 1 for e in edges):
            raise ValueError(f"level edges must be positive and rise, not {tuple(edges)}")
        if aging_s <= 0:
            raise ValueError(f"aging_s must be more than 0, not {aging_s}")
        self._edges = tuple(edges)
        self._aging_s = aging_s
        self._promotion_max = promotion_max
        self._ranks: dict[str, Rank] = {}
        self._promotions: list[float] = []

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._ranks

    def level(self, session_id: str, now: float, num_tokens: int, num_computed: int = 0) -> int:
        """The session's level when its request, of `num_tokens`, has so many of them computed."""
        rank = self._ranks.get(session_id)
        if rank is None:
            return bisect_right(self._edges, num_tokens)
        lifted = rank.promoted + bisect_right(rank.promote_at, now)
        return max(0, self._base(rank, num_computed) - lifted)

    def _base(self, rank: Rank, num_computed: int = 0) -> int:
        return bisect_right(self._edges, max(rank.first_tokens, _service(rank, num_computed)))

    def steady_tokens(self, session_id: str, num_computed: int) -> float:
        """Tokens of service until the next demotion; inf on the lowest level."""
        rank = self._ranks.get(session_id)
        base = len(self._edges) if rank is None else self._base(rank, num_computed)
        if rank is None or base == len(self._edges):
            return math.inf
        return self._edges[base] - _service(rank, num_computed)

    def next_promotion(self, now: float) -> float:
        """The next time at which waiting alone lifts a session; inf if it lifts none."""
        found = bisect_right(self._promotions, now)
        return self._promotions[found] if found < len(self._promotions) else math.inf

    def observe(self, signal: Signal) -> None:
        session_id = signal.session_id
        match signal:
            case RoundSubmitted():
                self.wait(session_id, signal.at, signal.num_prompt_tokens)
            case RoundStarted():
                self.run(session_id, signal.at, signal.num_cached_tokens)
            case RoundPreempted():
                self.stop(session_id, signal.num_computed_tokens)
                self.wait(session_id, signal.at)
            case RoundEnded():
                # The last token of a round is generated and never computed.
                self.stop(session_id, signal.num_tokens - 1)
                self.rest(session_id)
            case SessionEnded():
                self.forget(session_id)

    def wait(self, session_id: str, at: float, num_tokens: int = 0) -> None:
        """A round of the session waits from now on; the first one brings its footprint."""
        rank = self._ranks.setdefault(session_id, Rank(num_tokens))
        self._settle(rank, at)
        if math.isfinite(self._aging_s):
            lifts = min(self._promotion_max, self._base(rank)) - rank.promoted
            rank.promote_at = tuple(at + self._aging_s * n for n in range(1, lifts + 1))
            for time in rank.promote_at:
                insort(self._promotions, time)

    def run(self, session_id: str, at: float, num_cached: int) -> None:
        """The wait is over, and what it has earned stays; `num_cached` tokens cost no service."""
        if session_id in self._ranks:
            rank = self._ranks[session_id]
            self._settle(rank, at)
            rank.cached = num_cached

    def stop(self, session_id: str, num_computed: int) -> None:
        """The session runs no more, `num_computed` tokens of its context computed."""
        if session_id in self._ranks:
            rank = self._ranks[session_id]
            rank.served, rank.cached = _service(rank, num_computed), 0

    def rest(self, session_id: str) -> None:
        """The round has ended, and with it what its waits had earned."""
        if session_id in self._ranks:
            rank = self._ranks[session_id]
            self._settle(rank, -math.inf)
            rank.promoted = 0

    def forget(self, session_id: str) -> None:
        """The session has ended."""
        self.rest(session_id)
        self._ranks.pop(session_id, None)

    def _settle(self, rank: Rank, at: float) -> None:
        rank.promoted += bisect_right(rank.promote_at, at)
        for time in rank.promote_at:
            del self._promotions[bisect_left(self._promotions, time)]
        rank.promote_at = ()


def _service(rank: Rank, num_computed: int) -> int:
    return rank.served + max(0, num_computed - rank.cached)
