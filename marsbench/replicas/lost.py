"""What becomes of a replica that left, and of the rounds that it had."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from marsbench.core import events
from marsbench.core.session import Prompt
from marsbench.core.sim.sessions import LiveSession
from marsbench.replicas.replica import Replica
from marsbench.replicas.router import RoundKey


class LostRound(NamedTuple):
    """A round whose replica left. has_begun: it ran there; has_token: its first token was seen."""

    live: LiveSession
    prompt: Prompt
    has_begun: bool
    has_token: bool


class SentAgain:
    """Rounds that begin a second time elsewhere, told as such: nothing of them counts twice."""

    def __init__(self) -> None:
        self._begun: set[RoundKey] = set()
        self._token: set[RoundKey] = set()

    def lost(self, one: LostRound) -> None:
        """It may be sent again."""
        key = (one.live.session.id, one.prompt.round)
        if one.has_begun:
            self._begun.add(key)
        if one.has_token:
            self._token.add(key)

    def told(self, event: events.Event) -> events.Event | None:
        """The event as it is to be written down: a second start resumes, and of first tokens the
        client has seen the first.
        """
        if isinstance(event, events.GpuStart) and event.key in self._begun:
            return replace(event, resumed=True)
        if isinstance(event, events.GpuFirstToken) and event.key in self._token:
            return None
        return event


@dataclass(slots=True)
class Past:
    """What replicas that left had done."""

    decisions: list[dict[str, Any] | None] = field(default_factory=list)
    prefix_tokens: tuple[int, int] = (0, 0)
    busy_s: dict[int, float] = field(default_factory=dict)
    evicted: Counter[int] = field(default_factory=Counter)

    def add(self, gone: Replica) -> None:
        """It has left."""
        self.decisions.append(gone.engine.decisions)
        pairs = zip(self.prefix_tokens, gone.engine.prefix_tokens(), strict=True)
        asked, hit = (before + own for before, own in pairs)
        self.prefix_tokens = (asked, hit)
        self.busy_s[gone.index] = self.busy_s.get(gone.index, 0.0) + gone.busy_s
        self.evicted[gone.index] += gone.evicted_blocks

    def of(self, replica: Replica) -> tuple[float, int]:
        """Seconds that a replica's steps took, and blocks that it evicted, with those before it."""
        index = replica.index
        return self.busy_s.get(index, 0.0) + replica.busy_s, self.evicted[
            index
        ] + replica.evicted_blocks
