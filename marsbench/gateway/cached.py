"""What is in a server's KV cache, as its KV events tell, by the token ids of each block.

An event has a block's hash in the server's own way, which depends on its seed and its settings, and
the block's token ids with its parent's hash. From these the block gets our own key, the one that a
prompt's blocks get, so that a prompt is looked up without knowing how the server hashes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from marsbench.gateway.prompts import chained, of_tokens
from marsbench.serve.kv_events import AllBlocksCleared, BlockHash, BlockStored, KvEvent

log = logging.getLogger("marsbench.gateway")
_token_ids = msgspec.msgpack.Decoder(list[int]).decode


class CachedBlocks:
    """Of one server, from the moment that it is listened to.

    A block whose parent was never heard of is not known, nor one that more than tokens tell apart
    (an adapter, a picture, a salt).
    """

    def __init__(self) -> None:
        self._keys: dict[BlockHash, bytes] = {}
        self._present: set[bytes] = set()

    def hear(self, event: KvEvent) -> None:
        """What has happened to the cache."""
        if isinstance(event, AllBlocksCleared):
            self.clear()
        elif isinstance(event, BlockStored):
            self._stored(event)
        else:
            for block in event.block_hashes:
                self._present.discard(self._keys.pop(block, b""))

    def miss(self, reason: str) -> None:
        """Events are missing: nothing that is known is sure any more."""
        log.warning("%s; what is in that server's cache is learned anew", reason)
        self.clear()

    def clear(self) -> None:
        """The cache is empty, or nothing is known of it."""
        self._keys.clear()
        self._present.clear()

    def tokens(self, keys: Sequence[bytes], prompt_tokens: int, block_size: int) -> int:
        """Leading tokens of a prompt that are cached; vLLM always computes the last one."""
        most = min(len(keys), max(0, prompt_tokens - 1) // block_size)
        found = next((n for n in range(most) if keys[n] not in self._present), most)
        return found * block_size

    def _stored(self, event: BlockStored) -> None:
        parent = event.parent_block_hash
        before = b"" if parent is None else self._keys.get(parent)
        if before is None or event.lora_name or any(event.extra_keys or ()):
            return
        pieces = of_tokens(_token_ids(event.token_ids), event.block_size)
        for block, key in zip(event.block_hashes, chained(before, pieces), strict=False):
            self._keys[block] = key
            self._present.add(key)
