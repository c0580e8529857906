"""Who took the room of a session's blocks, as far as events know it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.stream import Stream


@dataclass(frozen=True, slots=True)
class Loss:
    """Blocks of a session that were evicted while it was paused, or queued.

    by: (session, round) whose prompts were being computed at that instant, by the blocks that
    went then, most first. An eviction does not say who asked for its room: a prompt that is
    computed takes room by the thousand tokens, an answer a block now and then, so answers are
    named for nothing; `others` are the blocks that went while no other prompt was computed.
    """

    blocks: int
    from_at: float | None
    to_at: float | None
    by: tuple[tuple[str, int, int], ...]
    others: int


class BlockLosses:
    """Every eviction of a run beside the prompts that were being computed."""

    def __init__(self, stream: Stream, rounds: Sequence[RoundRecord]) -> None:
        columns = stream.evicted
        self._owners = columns.owners
        self._owner, self._at = np.asarray(columns.owner), np.asarray(columns.at)
        self._blocks = np.asarray(columns.blocks)
        self._prompts = [r for r in rounds if r.started_at is not None]
        end_s = stream.end_s
        self._begin = np.array([r.started_at for r in self._prompts], dtype=float)
        ends = (end_s if r.first_token_at is None else r.first_token_at for r in self._prompts)
        self._end = np.array([*ends], dtype=float)

    def of(self, session: str, after: float, until: float) -> Loss:
        """What the session lost from one instant to another."""
        owner = self._owners.get(session, -1)
        own = (self._owner == owner) & (after <= self._at) & (self._at <= until)
        by: Counter[tuple[str, int]] = Counter()
        others = 0
        for at, blocks in zip(self._at[own], self._blocks[own], strict=True):
            names = self.computing(session, at)
            by.update({name: int(blocks) for name in names})
            others += 0 if names else int(blocks)
        instants = self._at[own]
        begin, end = (instants.min(), instants.max()) if len(instants) else (None, None)
        ranked = sorted(by.items(), key=lambda item: (-item[1], item[0]))
        named = tuple((*name, blocks) for name, blocks in ranked)
        return Loss(int(self._blocks[own].sum()), _float(begin), _float(end), named, others)

    def computing(self, but: str, at: float) -> list[tuple[str, int]]:
        """Rounds of other sessions whose prompts were being computed then."""
        inside = np.flatnonzero((self._begin <= at) & (at < self._end))
        rounds = [self._prompts[place] for place in inside]
        return [(r.session, r.round) for r in rounds if r.session != but]


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)
