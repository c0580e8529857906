"""The keys of cached blocks: who wrote one, its index, then its KV cache group; 4 bytes each.

Python keeps bytes in steps of 16: a key of 16 would take 64, and there is one for every block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

GROUP = (0).to_bytes(4, "big")  # vLLM keys a cached block by its hash and its KV cache group
WRITER_BYTES, HASH_BYTES = 4, 8


def writer_of(block_hash: bytes) -> int:
    """The number of who wrote this block: of a hash, or of a key that begins with it."""
    return int.from_bytes(block_hash[:WRITER_BYTES], "big")


class BlockHashes(Sequence[bytes]):
    """A context's block hashes, kept as the keys that vLLM's prefix cache makes of them.

    A key is made once a session: made anew at every look-up it would be hashed anew too.
    keys: the first `num` of them.
    """

    __slots__ = ("_num", "keys")

    def __init__(self, keys: list[bytes], num: int) -> None:
        self.keys = keys
        self._num = num

    def __len__(self) -> int:
        return self._num

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, slice):
            return [self.keys[i][:HASH_BYTES] for i in range(self._num)[place]]
        return self.keys[range(self._num)[place]][:HASH_BYTES]
