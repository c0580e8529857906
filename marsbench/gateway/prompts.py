"""A prompt as blocks that routers compare: of its bytes, or of its token ids.

A router that keeps what it sent where is shown blocks of the request's own bytes, which every API
has and no server has to be asked for; so do the projects whose rules are here (production-stack
cuts a prompt at 128 characters too). One that hears of KV events is shown the engine's blocks, for
which the server's tokenizer is asked.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

from marsbench.gateway.request import BYTES_PER_TOKEN
from marsbench.replicas.router import Segment

PIECE_BYTES = 128
PIECE_TOKENS = PIECE_BYTES // BYTES_PER_TOKEN
KEY_BYTES = 8
MOST_BLOCKS = 1 << 20
"""That are remembered, of all prompts: 128 MiB of text."""


def chained(parent: bytes, pieces: Iterable[bytes]) -> list[bytes]:
    """A key for each piece, of it and of all before it."""
    keys: list[bytes] = []
    for piece in pieces:
        parent = blake2b(parent + piece, digest_size=KEY_BYTES).digest()
        keys.append(parent)
    return keys


def of_bytes(text: bytes) -> Iterator[bytes]:
    """Its full pieces."""
    return _cut(text, PIECE_BYTES)


def of_tokens(ids: Sequence[int], block_size: int) -> Iterator[bytes]:
    """The full blocks of so many token ids."""
    found = array("I", ids)
    return _cut(found.tobytes(), block_size * found.itemsize)


def _cut(text: bytes, size: int) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(0, len(text) - size + 1, size))


class PromptWriters:
    """Blocks by the prompt that brought them first, as routers are told of them.

    A prompt that goes on where a writer's last block ends is that writer's; one that goes on
    elsewhere is a new writer's from there on. So two prompts that name a writer are alike as far as
    both have its blocks. most: blocks that are remembered; the writer that was not seen for longest
    is forgotten first.
    """

    def __init__(self, most: int = MOST_BLOCKS) -> None:
        self._most = most
        self._num = 0
        self._of: dict[bytes, int] = {}
        self._blocks: OrderedDict[int, list[bytes]] = OrderedDict()

    def segments(self, keys: Sequence[bytes]) -> tuple[Segment, ...]:
        """The prompt's blocks, each writer's side by side."""
        known = next((n for n, key in enumerate(keys) if key not in self._of), len(keys))
        if known < len(keys):
            self._write(keys, known)
        found: list[Segment] = []
        for end, key in enumerate(keys, 1):
            writer = self._of[key]
            if found and found[-1].writer == writer:
                found.pop()
            found.append(Segment(writer, end))
        for writer, _ in found:
            self._blocks.move_to_end(writer)
        self._forget()
        return tuple(found)

    def _write(self, keys: Sequence[bytes], known: int) -> None:
        """The blocks from there on are new, or their beginning was forgotten."""
        writer = self._of[keys[known - 1]] if known else None
        if writer is None or self._blocks[writer][-1] != keys[known - 1]:
            writer = self._num
            self._num += 1
            self._blocks[writer] = []
        self._blocks[writer] += keys[known:]
        self._of.update(dict.fromkeys(keys[known:], writer))

    def _forget(self) -> None:
        while len(self._of) > self._most and len(self._blocks) > 1:
            writer, blocks = self._blocks.popitem(last=False)
            for key in blocks:
                if self._of.get(key) == writer:
                    del self._of[key]
