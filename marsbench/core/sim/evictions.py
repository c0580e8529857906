"""When a macro step's evictions happened.

The free list is popped from the front only. So the i-th block popped in a macro step is the i-th
that its single steps would have popped, whoever gets it: its place says in which step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from marsbench.core.sim.clock import VirtualClock
from marsbench.core.sim.fast_pool import FastPool
from marsbench.core.sim.merge import Pattern
from marsbench.core.sim.moves import BlockMoves
from marsbench.core.sim.sampler import KvSampler
from marsbench.core.sim.steps import ScheduledStep


class EvictionReports:
    """Tells of evictions at the start of the step that they belong to, with samples in between.

    is_fast: put the loops of `fast_pool` in place of vLLM's.
    """

    def __init__(
        self,
        scheduler: Any,
        clock: VirtualClock,
        moves: BlockMoves,
        sampler: KvSampler,
        is_fast: bool,
    ) -> None:
        self._scheduler = scheduler
        self._pool = FastPool(scheduler.kv_cache_manager)
        if is_fast:
            self._pool.install(scheduler)
        self._clock = clock
        self._moves = moves
        self._sampler = sampler

    def report(self, step: ScheduledStep) -> None:
        """Those of a step that begins now."""
        evictions, pattern, ends = self._pool.take_evictions(), step.pattern, step.ends
        if pattern is None or (not evictions and self._sampler.next_at >= ends[-1]):
            self._moves.evicted(self._clock.now, [h for _, h in evictions])
            return
        popped = self._popped(pattern, len(ends))
        begins = [self._clock.now, *ends[:-1]]
        for begin, total, hashes in zip(begins, popped, by_step(evictions, popped), strict=True):
            self._sampler.sample(begin)
            self._sampler.later_blocks = popped[-1] - total
            self._moves.evicted(begin, hashes)

    def _popped(self, pattern: Pattern, steps: int) -> list[int]:
        """Blocks popped off the free list by the end of each step of a macro step."""
        size, requests = self._scheduler.block_size, self._scheduler.requests
        tokens = np.array(list(pattern.tokens.values()))
        after = np.array([requests[i].num_computed_tokens for i in pattern.tokens])
        before = after - steps * tokens
        upto = before + np.arange(1, steps + 1)[:, None] * tokens
        blocks = -(-upto // size) - -(-before // size)
        return [int(n) for n in blocks.sum(axis=1)]


def by_step(evictions: list[tuple[int, bytes]], popped: list[int]) -> Iterator[list[bytes]]:
    """The evicted hashes of each step; `popped[j]` counts all pops up to the end of step j."""
    place = 0
    for total in popped:
        begin = place
        while place < len(evictions) and evictions[place][0] <= total:
            place += 1
        yield [block_hash for _, block_hash in evictions[begin:place]]
