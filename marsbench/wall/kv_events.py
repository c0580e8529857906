"""vLLM's KV events over ZMQ: which blocks left the server's cache, and whose they were.

A removed block is named by its hash alone, so the stored ones are remembered with their session.
vLLM 0.33.0 publishes [topic, sequence number, batch] (`vllm.distributed.kv_events`); a number that
is missing means that events are, and then nobody knows how many blocks were evicted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import zmq
import zmq.asyncio

from marsbench.clock import WallClock
from marsbench.core import events
from marsbench.core.metrics.cache import OTHER_OWNER, PREFIX_OWNER
from marsbench.core.session import Session
from marsbench.errors import UsageError

ON_GPU = (None, "GPU")
_Hash = int | bytes


class BlockStored(msgspec.Struct, tag=True):
    """Blocks that entered the cache, one after another in one context."""

    block_hashes: list[_Hash]
    parent_block_hash: _Hash | None = None
    block_size: int = 0
    medium: str | None = None
    session_id: str | None = None


class BlockRemoved(msgspec.Struct, tag=True):
    """Blocks that left the cache."""

    block_hashes: list[_Hash]
    medium: str | None = None


class AllBlocksCleared(msgspec.Struct, tag=True):
    """The cache was emptied on request."""


class KvEventBatch(msgspec.Struct, array_like=True):
    """What one step of the server changed."""

    ts: float
    events: list[BlockStored | BlockRemoved | AllBlocksCleared]


_decode = msgspec.msgpack.Decoder(KvEventBatch).decode


class Owners:
    """Whose each cached block is. sessions: the run's, sub-agents too, by name on the wire."""

    def __init__(self, sessions: Mapping[str, Session]) -> None:
        self._sessions = sessions
        # Of a branch, whose context it begins with.
        self._parents = {child.id: one for one in sessions.values() for child in one.children}
        self._blocks: dict[_Hash, tuple[str, int]] = {}  # the owner, and the index in its context

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
        self._last: int | None = None
        self._missed = False
        self._socket: Any = zmq.asyncio.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self._socket.close()
            raise UsageError(
                f"--kv-events cannot listen to '{endpoint}': {error}; "
                "for example tcp://127.0.0.1:5557."
            ) from error

    async def follow(self) -> None:
        """Listen for ever."""
        while True:
            self.read(await self._socket.recv_multipart())

    def read(self, frames: list[bytes]) -> None:
        """One message of the server."""
        _, number, batch = frames
        self._follow(int.from_bytes(number, "big"))
        at = self._clock.now
        try:
            found = _decode(batch)
        except msgspec.DecodeError as error:
            self._miss(f"a KV event could not be read ({error})")
            return
        for event in found.events:
            self._apply(event, at)

    def close(self) -> None:
        """Stop listening. A server that was never heard was perhaps not there: not 0 evictions."""
        self._socket.close()
        if self._last is None:
            self._miss("no KV event was heard from the endpoint")

    def _apply(self, event: BlockStored | BlockRemoved | AllBlocksCleared, at: float) -> None:
        if isinstance(event, AllBlocksCleared):
            self._owners.cleared()
        elif event.medium not in ON_GPU:
            return
        elif isinstance(event, BlockStored):
            self._owners.stored(event)
        else:
            for owner, blocks in self._owners.removed(event).items():
                self._record(events.Evicted(at, owner, blocks))

    def _follow(self, number: int) -> None:
        if self._last is not None and number != self._last + 1:
            self._miss(f"KV events {self._last + 1} to {number - 1} were lost on their way")
        self._last = number

    def _miss(self, reason: str) -> None:
        if not self._missed:
            self._missed = True
            self._record(events.Unmeasured(self._clock.now, events.Evicted.kind, reason))
