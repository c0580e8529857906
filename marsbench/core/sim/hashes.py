"""Block hashes without text: equal tokens give equal hashes, at no cost in context length.

vLLM knows a cached block by a hash of its tokens and all before them. Here nobody has tokens, but
who wrote a block is known: its prefix group, or one session in one epoch (until its context is
cut). So a block's hash is its writer's number and its index, 8 bytes, made once a session.
"""

from __future__ import annotations

import struct

from marsbench.core.session import Prompt, Session
from marsbench.shortcuts.keys import GROUP, BlockHashes

PREFIX_OWNER = "prefix:"
_pack = struct.Struct(">II").pack


class BlockWriters:
    """Numbers for whoever writes blocks; the number is the first 4 bytes of a block's hash."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, int], int] = {}
        self.owners: list[str] = []

    def number(self, owner: str, epoch: int = 0) -> int:
        """The number of a session's epoch, or of a prefix group ("prefix:NAME")."""
        found = self._numbers.get((owner, epoch))
        if found is None:
            found = self._numbers[owner, epoch] = len(self.owners)
            self.owners.append(owner)
        return found


class SessionHashes:
    """The block hashes of one session, grown as its context grows."""

    def __init__(self, session: Session, writers: BlockWriters, block_size: int) -> None:
        self._session = session
        self._writers = writers
        self._block_size = block_size
        self._epoch = 0
        self._writer = writers.number(session.id)
        self._keys: list[bytes] = []
        if session.prefix_group is not None:
            writer = writers.number(PREFIX_OWNER + session.prefix_group)
            self._extend(writer, session.prefix_tokens // block_size)

    def start_round(self, prompt: Prompt) -> None:
        """Forget what a cut removed: blocks with a token past the last edge are written anew."""
        if prompt.epoch == self._epoch:
            return
        del self._keys[prompt.kept_tokens // self._block_size :]
        self._epoch = prompt.epoch
        self._writer = self._writers.number(self._session.id, prompt.epoch)

    def upto(self, num_tokens: int) -> BlockHashes:
        """The hashes of all full blocks of a context of `num_tokens`.

        They share this session's list, and hold until its next round starts.
        """
        full = num_tokens // self._block_size
        self._extend(self._writer, full)
        return BlockHashes(self._keys, full)

    def fork(self, child: Session) -> SessionHashes:
        """Of a child that begins with this context: its full blocks are the same."""
        forked = SessionHashes(child, self._writers, self._block_size)
        forked._keys = self._keys[: child.fork_tokens // self._block_size]
        return forked

    def _extend(self, writer: int, full: int) -> None:
        self._keys += [_pack(writer, i) + GROUP for i in range(len(self._keys), full)]


class TokenCount:
    """Stands for a list of token ids of which only the length is ever asked."""

    __slots__ = ("_count",)

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def append(self, _token: int) -> None:
        self._count += 1

    def extend(self, tokens: list[int]) -> None:
        self._count += len(tokens)

    def grow(self, tokens: int) -> None:
        """So many more; fewer where it is negative."""
        self._count += tokens

    def copy(self) -> TokenCount:
        return TokenCount(self._count)
