"""vLLM's KV events over ZMQ: which blocks entered and left a server's cache, as it says itself.

vLLM 0.33.0 publishes [topic, sequence number, batch] (`vllm.distributed.kv_events`); a number that
is missing means that events are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import zmq
import zmq.asyncio

ON_GPU = (None, "GPU")
BlockHash = int | bytes


class BlockStored(msgspec.Struct, tag=True):
    """Blocks that entered the cache, one after another in one context.

    token_ids: of all of them, unread. extra_keys: what tells a block apart beside its tokens.
    """

    block_hashes: list[BlockHash]
    parent_block_hash: BlockHash | None = None
    token_ids: msgspec.Raw = msgspec.Raw(b"\x90")
    block_size: int = 0
    medium: str | None = None
    lora_name: str | None = None
    extra_keys: list[Any] | None = None
    session_id: str | None = None


class BlockRemoved(msgspec.Struct, tag=True):
    """Blocks that left the cache."""

    block_hashes: list[BlockHash]
    medium: str | None = None


class AllBlocksCleared(msgspec.Struct, tag=True):
    """The cache was emptied on request."""


KvEvent = BlockStored | BlockRemoved | AllBlocksCleared


class KvEventBatch(msgspec.Struct, array_like=True):
    """What one step of the server changed."""

    ts: float
    events: list[KvEvent]


decode = msgspec.msgpack.Decoder(KvEventBatch).decode


class KvSubscription:
    """Listens to a server's endpoint.

    on_gpu: is given what happened to the GPU's cache. missed: is told why events are missing.
    Raises zmq.ZMQError where the endpoint is none.
    """

    def __init__(
        self, endpoint: str, on_gpu: Callable[[KvEvent], None], missed: Callable[[str], None]
    ) -> None:
        self._on_gpu = on_gpu
        self._missed = missed
        self._last: int | None = None
        self._socket: Any = zmq.asyncio.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError:
            self._socket.close()
            raise

    @property
    def has_heard(self) -> bool:
        """Whether anything came."""
        return self._last is not None

    async def follow(self) -> None:
        """Listen for ever."""
        while True:
            self.read(await self._socket.recv_multipart())

    def read(self, frames: Sequence[bytes]) -> None:
        """One message of the server."""
        _, number, batch = frames
        self._follow(int.from_bytes(number, "big"))
        try:
            found = decode(batch)
        except msgspec.DecodeError as error:
            self._missed(f"a KV event could not be read ({error})")
            return
        for event in found.events:
            if isinstance(event, AllBlocksCleared) or event.medium in ON_GPU:
                self._on_gpu(event)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def _follow(self, number: int) -> None:
        if self._last is not None and number != self._last + 1:
            self._missed(f"KV events {self._last + 1} to {number - 1} were lost on their way")
        self._last = number
