"""vLLM's KV events over ZMQ: which blocks left the server's cache, and whose they were.

A removed block is named by its hash alone, so the stored ones are remembered with their session.
Where events are missing, nobody knows how many blocks were evicted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import zmq

from marsbench.clock import WallClock
from marsbench.core import events
from marsbench.core.metrics.cache import OTHER_OWNER, PREFIX_OWNER
from marsbench.core.session import Session
from marsbench.errors import UsageError
from marsbench.serve.kv_events import (
    AllBlocksCleared,
    BlockHash,
    BlockRemoved,
    BlockStored,
    KvEvent,
    KvSubscription,
)


class Owners:
    """Whose each cached block is. sessions: the run's, sub-agents too, by name on the wire."""

    def __init__(self, sessions: Mapping[str, Session]) -> None:
        self._sessions = sessions
        # Of a branch, whose context it begins with.
        self._parents = {child.id: one for one in sessions.values() for child in one.children}
        # The owner, and the index in its context.
        self._blocks: dict[BlockHash, tuple[str, int]] = {}

    def stored(self, event: BlockStored) -> None:
        """Remembers the blocks; those that lie in a shared prefix belong to its group."""
        parent = event.parent_block_hash
        before = self._blocks.get(parent) if parent is not None else None
        index = 0 if parent is None else None if before is None else before[1] + 1
        for number, block in enumerate(event.block_hashes):
            at = -1 if index is None else index + number
            self._blocks[block] = (self._owner(event, at), at)

    def _owner(self, event: BlockStored, index: int) -> str:
        session = self._sessions.get(event.session_id or "")
        if session is None:
            return OTHER_OWNER
        end = (index + 1) * event.block_size
        while 0 < end <= session.fork_tokens:
            session = self._parents[session.id]
        shared = 0 if session.prefix_group is None else session.prefix_tokens
        return f"{PREFIX_OWNER}{session.prefix_group}" if 0 < end <= shared else session.id

    def removed(self, event: BlockRemoved) -> Counter[str]:
        """How many blocks each owner lost; blocks from before the run have none."""
        lost: Counter[str] = Counter()
        for block in event.block_hashes:
            lost[self._blocks.pop(block, (OTHER_OWNER, 0))[0]] += 1
        return lost

    def cleared(self) -> None:
        """Forget all blocks."""
        self._blocks.clear()


class KvEvents:
    """Listens to a server's endpoint and records evictions."""

    def __init__(
        self,
        endpoint: str,
        clock: WallClock,
        record: Callable[[events.Event], None],
        sessions: Mapping[str, Session],
    ) -> None:
        self._clock = clock
        self._record = record
        self._owners = Owners(sessions)
        self._missed = False
        try:
            self._subscription = KvSubscription(endpoint, self._apply, self._miss)
        except zmq.ZMQError as error:
            raise UsageError(
                f"--kv-events cannot listen to '{endpoint}': {error}; "
                "for example tcp://127.0.0.1:5557."
            ) from error
        self.follow, self.read = self._subscription.follow, self._subscription.read

    def close(self) -> None:
        """Stop listening. A server that was never heard was perhaps not there: not 0 evictions."""
        self._subscription.close()
        if not self._subscription.has_heard:
            self._miss("no KV event was heard from the endpoint")

    def _apply(self, event: KvEvent) -> None:
        if isinstance(event, AllBlocksCleared):
            self._owners.cleared()
        elif isinstance(event, BlockStored):
            self._owners.stored(event)
        else:
            at = self._clock.now
            for owner, blocks in self._owners.removed(event).items():
                self._record(events.Evicted(at, owner, blocks))

    def _miss(self, reason: str) -> None:
        if not self._missed:
            self._missed = True
            self._record(events.Unmeasured(self._clock.now, events.Evicted.kind, reason))
