"""The keys of cached blocks: who wrote one, its index, then its KV cache group; 4 bytes each.

Python keeps bytes in steps of 16: a key of 16 would take 64, and there is one for every block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import overload

GROUP = (0).to_bytes(4, "big")  # vLLM keys a cached block by its hash and its KV cache group
WRITER_BYTES, HASH_BYTES = 4, 8


def writer_of(block_hash: bytes) -> int:
    """The number of who wrote this block: of a hash, or of a key that begins with it."""
    return int.from_bytes(block_hash[:WRITER_BYTES], "big")


def place_of(key: bytes) -> int:
    """Which block of its context this is, from 0 on."""
    return int.from_bytes(key[WRITER_BYTES:HASH_BYTES], "big")


_writer_bytes = itemgetter(slice(WRITER_BYTES))


def by_writer(keys: Iterable[bytes]) -> dict[int, int]:
    """How many of these blocks each writer wrote, in the order of their first ones."""
    return {writer_of(writer): blocks for writer, blocks in by_writer_bytes(keys).items()}


def by_writer_bytes(keys: Iterable[bytes]) -> Counter[bytes]:
    """The same by the first bytes of the writers' keys."""
    return Counter(map(_writer_bytes, keys))


def writers(context: Sequence[bytes]) -> set[bytes]:
    """Who wrote the blocks of a context, in which each one's are side by side."""
    if not context:
        return set()
    found, open_ends = set[bytes](), [(0, len(context) - 1)]
    while open_ends:
        first, last = open_ends.pop()
        ends = {context[first][:WRITER_BYTES], context[last][:WRITER_BYTES]}
        found |= ends
        if len(ends) > 1 and last - first > 1:
            middle = (first + last) // 2
            open_ends += [(first, middle), (middle, last)]
    return found


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
