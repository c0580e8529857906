"""Prompts of the exact length, whose prefixes are shared as the session says.

The token at a position is a function of who wrote it and of the position, as block hashes are in
the simulator: the prefix group, or the session in one epoch (until its context is cut). What the
model answered stands in the next prompt as it was answered, where the server tells it.
"""

from __future__ import annotations

import hashlib
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from marsbench.core.session import Prompt, Session


@dataclass(frozen=True)
class Vocabulary:
    """The token ids that prompts are made of: from first to last, all with as many digits."""

    first: int
    last: int

    @cached_property
    def texts(self) -> NDArray[np.bytes_]:
        """Each id as it stands in a JSON list, its comma included."""
        return np.array([f"{token},".encode() for token in range(self.first, self.last + 1)])

    def write(self, numbers: NDArray[np.uint64]) -> bytes:
        """Numbers of a stream as ids in a JSON list."""
        chosen: NDArray[np.bytes_] = self.texts[numbers % np.uint64(len(self.texts))]
        return chosen.tobytes()


# Three digits keep a prompt short on the wire, and every vocabulary has these ids, down to one of
# bytes. Two writers fill a block of 16 alike by chance once in 156**16, its last token in 156.
ANY = Vocabulary(100, 255)


def stream(writer: str, begin: int, end: int) -> NDArray[np.uint64]:
    """Numbers from begin to end of a writer's endless stream: the same for the same position."""
    key = int.from_bytes(hashlib.blake2b(writer.encode(), digest_size=8).digest(), "big")
    with np.errstate(over="ignore"):  # splitmix64 (Steele, Lea and Flood 2014), by its counter
        z = np.arange(begin + 1, end + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64(key)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return found


class PromptContext(Protocol):
    """A session's context as it grows, and its prompts as JSON."""

    def prompt(self, prompt: Prompt) -> bytes:
        """The JSON value of a round's prompt."""
        ...

    async def answered(self, token_ids: list[int] | None, text: str, prompt: Prompt) -> None:
        """The model answered the prompt with this."""
        ...

    def fork(self, child: Session) -> Self:
        """The context of a child that begins with what this one has now."""
        ...


class Writers:
    """Who writes which position of one session's context."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._shared = 0 if session.prefix_group is None else session.prefix_tokens

    def parts(self, begin: int, end: int, epoch: int) -> list[tuple[str, int, int]]:
        """(writer, begin, end) of the positions from begin to end, written in `epoch`."""
        parts = []
        shared = self._shared if epoch == 0 else 0
        if begin < shared:
            parts.append((f"prefix:{self._session.prefix_group}", begin, min(end, shared)))
        if end > shared:
            parts.append((f"session:{self._session.id}:{epoch}", max(begin, shared), end))
        return parts


class TokenContext:
    """Token ids, kept as the text that goes on the wire: growing costs what is new."""

    def __init__(self, session: Session, vocabulary: Vocabulary = ANY) -> None:
        self._writers = Writers(session)
        self._vocabulary = vocabulary
        self._text = bytearray()
        self._length = 0
        self._epoch = 0

    def prompt(self, prompt: Prompt) -> bytes:
        if prompt.epoch != self._epoch:
            self._cut(prompt.kept_tokens)
            self._epoch = prompt.epoch
        self._fill(self._writers, prompt.num_tokens, prompt.epoch)
        return b"[" + self._text[:-1] + b"]"

    def fork(self, child: Session) -> Self:
        forked = copy(self)
        forked._text, forked._writers, forked._epoch = bytearray(self._text), Writers(child), 0
        forked._cut(child.fork_tokens)
        forked._fill(self._writers, child.fork_tokens, self._epoch)
        return forked

    async def answered(self, token_ids: list[int] | None, text: str, prompt: Prompt) -> None:
        """Takes the model's tokens; without them the writer's stream goes on in their place."""
        kept = (token_ids or [])[: prompt.output_tokens]
        self._text += "".join(f"{token}," for token in kept).encode()
        self._length += len(kept)

    def _fill(self, writers: Writers, length: int, epoch: int) -> None:
        for writer, begin, end in writers.parts(self._length, length, epoch):
            self._text += self._vocabulary.write(stream(writer, begin, end))
        self._length = length

    def _cut(self, kept: int) -> None:
        if kept < self._length:
            commas = np.flatnonzero(np.frombuffer(self._text, dtype=np.uint8) == ord(","))
            end = int(commas[kept - 1]) + 1 if kept else 0
            del self._text[end:]
            self._length = kept
