"""Events of blocks that leave the GPU's cache: evicted, or swapped to host memory and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from marsbench.core import events
from marsbench.core.sim.clock import Clock
from marsbench.core.sim.hashes import Writers
from marsbench.core.sim.sessions import Emit
from marsbench_backends.vllm.watch import BlockWatch


class BlockMoves(BlockWatch):
    """Emits them; what the scheduler's answers move, it hears as it happens."""

    def __init__(self, clock: Clock, writers: Writers, emit: Emit) -> None:
        self._clock = clock
        self._writers = writers
        self._emit = emit

    def evicted(self, at: float, hashes: Sequence[bytes]) -> None:
        """These blocks were dropped at `at`: an event an owner, in the order of their first."""
        for owner, blocks in Counter(map(self._writers.owner_of, hashes)).items():
            self._emit(events.Evicted(at, owner, blocks))

    def discarded(self, hashes: Sequence[bytes]) -> None:
        self.evicted(self._clock.now, hashes)

    def swapped_out(self, session_id: str, num_blocks: int) -> None:
        if num_blocks:  # else somebody else uses all of them
            self._emit(events.SwappedOut(self._clock.now, session_id, num_blocks))

    def swapped_in(self, session_id: str, number: int, num_blocks: int) -> None:
        self._emit(events.SwappedIn(self._clock.now, session_id, number, num_blocks))

    def host_evicted(self, session_id: str, num_blocks: int) -> None:
        self._emit(events.HostEvicted(self._clock.now, session_id, num_blocks))
