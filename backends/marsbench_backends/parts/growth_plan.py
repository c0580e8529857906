"""Whom a cache has room for, with what the active are expected to grow by; who is to make room."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from marsbench_backends.parts.experience import Experience
from marsbench_backends.parts.programs import Programs
from marsbench_backends.parts.progress import EngineTimes, SegmentedProgram


@dataclass
class GrowthPlan:
    """capacity: tokens of the KV cache, without end until it is told. buffer: of each active one.

    rounds_max: of a segment. gains: whether a larger batch may make up for a reserve that is short.
    """

    programs: Programs[SegmentedProgram]
    seen: Experience
    times: EngineTimes
    buffer: int
    rounds_max: int
    gains: bool
    capacity: float = math.inf

    def needs(self, one: SegmentedProgram) -> int:
        return one.tokens + self.buffer

    def active(self) -> list[SegmentedProgram]:
        return [one for one in self.programs if not one.paused]

    def room(self) -> float:
        """Tokens that the active leave."""
        return self.capacity - sum(map(self.needs, self.active()))

    def may_enter(self, one: SegmentedProgram) -> bool:
        """Whether one that is not active fits with the reserve, or gains more than it costs."""
        room, active = self.room(), self.active()
        rounds = self._target() + sum(self._rounds_left(active))
        if room >= self.needs(one) + math.ceil(self.seen.growth_per_round * rounds):
            return True
        if not self.gains or room < self.needs(one):
            return False
        costs = self.times.miss_s(one.tokens) + self._lost_s(one, active, room)
        return self._gained_s(one, active) >= costs

    def _target(self) -> int:
        return self.seen.target_rounds(self.rounds_max)

    def _rounds_left(self, active: Sequence[SegmentedProgram]) -> list[int]:
        return [max(0, self._target() - one.rounds) for one in active]

    def _gained_s(self, one: SegmentedProgram, active: Sequence[SegmentedProgram]) -> float:
        """Of an answer, by the tokens that one more in the batch makes; -1 where none decodes."""
        batch = [other.tokens for other in active if other.reasoning]
        if not batch:
            return -1.0
        before = self.times.decode_speed(len(batch), sum(batch))
        after = self.times.decode_speed(len(batch) + 1, sum(batch) + one.tokens)
        return self.seen.decodes.mean * max(0.0, after / before - 1.0)

    def _lost_s(
        self, one: SegmentedProgram, active: Sequence[SegmentedProgram], room: float
    ) -> float:
        """What the active compute again as their segments end sooner, a round's share of it."""
        growth, left = self.seen.growth_per_round, self._rounds_left(active)
        protected = [other for other, rounds in zip(active, left, strict=True) if rounds]
        if growth <= 0.0 or not protected:
            return 0.0
        left_room = room - self.needs(one) - growth * self._target()
        before = min(sum(left), room / growth)
        after = min(sum(left), max(0.0, left_room) / growth)
        if after >= before:
            return 0.0
        if after <= 0.0:
            return math.inf
        costs = [self.times.miss_s(other.tokens) for other in protected]
        return (before - after) / after * math.fsum(costs) / len(costs)

    def to_mark(self, at: float) -> list[SegmentedProgram]:
        """Who reasons and is to be paused when it has answered, so that all the others can."""
        answer = math.ceil(self.seen.outputs.mean)
        reasoning = self.programs.active(reasoning=True)
        marked = sum(self.needs(one) + answer for one in reasoning if one.marked)
        lacking = answer * len(reasoning) - self.room() - marked
        found = []
        others = (one for one in reasoning if not one.marked)
        for one in sorted(others, key=lambda one: -self.seen.length_score(one, at)):
            if lacking <= 0:
                break
            found.append(one)
            lacking -= self.needs(one) + answer
        return found
