"""Samples of the engine's state, on a grid of virtual time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from marsbench.core import events
from marsbench.core.sim.sessions import Emit
from marsbench.core.sim.tools import SimTools


class KvSampler:
    """Emits a sample at every point of the grid at which anything is under way.

    next_at: the next point. later_blocks: of the blocks that a macro step has taken already, those
        that its steps after the sampled instant take; until then they count as free.
    """

    def __init__(
        self, scheduler: Any, tools: SimTools, num_blocks: int, every_s: float, emit: Emit
    ) -> None:
        self._scheduler = scheduler
        self._tools = tools
        self._emit = emit
        self._every_s = every_s
        self.num_blocks = num_blocks
        self.next_at = 0.0
        self.later_blocks = 0

    @property
    def free_blocks(self) -> int:
        """KV blocks that nobody uses or holds."""
        free: int = self._scheduler.kv_cache_manager.block_pool.get_num_free_blocks()
        return free + self.later_blocks

    def due_in(self, begins: Sequence[float]) -> Iterator[int]:
        """The steps, of those that begin then, at whose begin a point of the grid has passed."""
        at = self.next_at
        while at <= begins[-1]:
            yield bisect_left(begins, at)
            at += self._every_s

    def sample(self, until: float) -> None:
        """Emit the engine's state at every point of the grid up to `until`."""
        while self.next_at <= until:
            at = self.next_at
            self.next_at += self._every_s
            if self._scheduler.has_unfinished_requests() or self._tools.in_flight:
                self._emit(self._usage(at))

    def _usage(self, at: float) -> events.KvUsage:
        scheduler, free = self._scheduler, self.free_blocks
        holds = getattr(scheduler, "holds", None)
        held = holds.num_blocks() if holds else 0
        return events.KvUsage(
            at,
            used_blocks=self.num_blocks - free - held,
            held_blocks=held,
            free_blocks=free,
            running=len(scheduler.running),
            waiting=len(scheduler.waiting),
            tools_in_flight=self._tools.in_flight,
        )
