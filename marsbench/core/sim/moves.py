"""Events of blocks: evicted, swapped to host memory and back, held for paused sessions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from marsbench.core import events
from marsbench.core.sim.clock import VirtualClock
from marsbench.core.sim.ledger import BlockLedger
from marsbench.core.sim.sessions import Emit
from marsbench.offload.link import Copy
from marsbench.shortcuts.keys import by_writer
from marsbench_backends.vllm.watch import BlockWatch


class BlockMoves(BlockWatch):
    """Emits them; what the scheduler's answers move, it hears as it happens.

    block_bytes: of a block's KV, where copies are told.
    """

    block_bytes = 0.0

    def __init__(self, clock: VirtualClock, ledger: BlockLedger, emit: Emit) -> None:
        self._clock = clock
        self._ledger = ledger
        self._emit = emit

    def evicted(self, at: float, blocks: Mapping[int, int]) -> None:
        """So many blocks of each writer were dropped at `at`: an event an owner."""
        for owner, num_blocks in self._ledger.owners(blocks).items():
            self._emit(events.Evicted(at, owner, num_blocks))

    def copied(self, at: float, copies: Iterable[Copy]) -> None:
        """Copies that the engine heard of at `at`: an event for each owner, or each round."""
        for copy in copies:
            each_s = (copy.ends_at - copy.begins_at) / len(copy.keys)
            if copy.is_store:
                self._stored(at, copy, each_s)
            for request_id, blocks in copy.loads:
                session, _, number = request_id.rpartition("#")
                size = (blocks, blocks * self.block_bytes, blocks * each_s)
                waited_s = at - copy.asked_at
                self._emit(events.HostLoaded(at, session, int(number), *size, waited_s))

    def _stored(self, at: float, copy: Copy, each_s: float) -> None:
        for owner, blocks in self._ledger.owners(by_writer(copy.keys)).items():
            size = (blocks, blocks * self.block_bytes, blocks * each_s)
            self._emit(events.HostStored(at, owner, *size))

    def dropped(self, at: float, blocks: Mapping[int, int]) -> None:
        """Host memory dropped so many blocks of each writer, to make room."""
        for owner, num_blocks in self._ledger.owners(blocks).items():
            self._emit(events.HostDropped(at, owner, num_blocks))

    def under_way(self, copies: Sequence[Copy]) -> None:
        """The run is over, and these copies are not."""
        if copies:
            size = self.block_bytes * sum(len(copy.keys) for copy in copies)
            self._emit(events.HostUnderWay(self._clock.now, len(copies), size))

    def discarded(self, hashes: Sequence[bytes]) -> None:
        self.evicted(self._clock.now, by_writer(hashes))

    def swapped_out(self, session_id: str, num_blocks: int) -> None:
        if num_blocks:  # else somebody else uses all of them
            self._emit(events.SwappedOut(self._clock.now, session_id, num_blocks))

    def swapped_in(self, session_id: str, number: int, num_blocks: int) -> None:
        self._emit(events.SwappedIn(self._clock.now, session_id, number, num_blocks))

    def host_evicted(self, session_id: str, num_blocks: int) -> None:
        self._emit(events.HostEvicted(self._clock.now, session_id, num_blocks))

    def hold_changed(self, session_id: str, num_blocks: int | None, how: float | str) -> None:
        """A hold began, until an instant (inf: no end), or ended (None blocks) for a reason."""
        now = self._clock.now
        if num_blocks is None:
            self._emit(events.Unheld(now, session_id, str(how)))
        else:
            until = float(how) if math.isfinite(float(how)) else None
            self._emit(events.Held(now, session_id, num_blocks, until))
