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


@dataclass(slots=True)
class Rank:
    """Where a session stands. `promote_at`: when its present wait lifts it, time by time."""

    first_tokens: int
    level: int
    served: int = 0
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

    def level(self, session_id: str, now: float, num_tokens: int) -> int:
        """The session's level; `num_tokens`, its context, decides for one that never came."""
        rank = self._ranks.get(session_id)
        if rank is None:
            return bisect_right(self._edges, num_tokens)
        if not rank.promote_at:
            return max(0, rank.level - rank.promoted)
        lifted = rank.promoted + bisect_right(rank.promote_at, now)
        return max(0, rank.level - lifted)

    def steady_tokens(self, session_id: str) -> float:
        """Tokens of service until the next demotion; inf on the lowest level."""
        rank = self._ranks.get(session_id)
        if rank is None or rank.level == len(self._edges):
            return math.inf
        return self._edges[rank.level] - rank.served

    def next_promotion(self, now: float) -> float:
        """The next time at which waiting alone lifts a session; inf if it lifts none."""
        found = bisect_right(self._promotions, now)
        return self._promotions[found] if found < len(self._promotions) else math.inf

    def serve(self, session_id: str, num_tokens: int) -> None:
        """The session had service, which may demote it."""
        rank = self._ranks.get(session_id)
        if rank is not None:
            rank.served += num_tokens
            rank.level = bisect_right(self._edges, max(rank.first_tokens, rank.served))

    def wait(self, session_id: str, at: float, num_tokens: int = 0) -> None:
        """A round of the session waits from now on; the first one brings its footprint."""
        rank = self._ranks.get(session_id)
        if rank is None:
            rank = Rank(num_tokens, bisect_right(self._edges, num_tokens))
            self._ranks[session_id] = rank
        self._settle(rank, at)
        if math.isfinite(self._aging_s):
            lifts = min(self._promotion_max, rank.level) - rank.promoted
            rank.promote_at = tuple(at + self._aging_s * n for n in range(1, lifts + 1))
            for time in rank.promote_at:
                insort(self._promotions, time)

    def run(self, session_id: str, at: float) -> None:
        """The wait is over; what it has earned stays."""
        if session_id in self._ranks:
            self._settle(self._ranks[session_id], at)

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
