"""What a router itself knows of each replica: the rounds that it sent there, never old."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from marsbench.replicas.router import RoundKey, RoundToPlace


@dataclass(slots=True)
class _Round:
    """A round that was sent to a replica and is not answered."""

    replica: int
    tokens: int
    prefill_tokens: int


@dataclass(slots=True)
class Book:
    """Of one replica; `placed_since` are rounds sent there after its last report."""

    under_way: int = 0
    tokens: int = 0
    prefill_tokens: int = 0
    placed_since: int = 0


class Books:
    """One book a replica."""

    def __init__(self, replicas: Iterable[int]) -> None:
        self._books = {index: Book() for index in replicas}
        self._rounds: dict[RoundKey, _Round] = {}

    def __contains__(self, key: RoundKey) -> bool:
        """Whether the round was sent and is not answered."""
        return key in self._rounds

    def of(self, replica: int) -> Book:
        return self._books[replica]

    def placed(self, ask: RoundToPlace, replica: int, found_tokens: int) -> None:
        """The round was sent there, where so many of its tokens need not be computed."""
        book = self._books[replica]
        sent = _Round(replica, ask.prompt_tokens, ask.prompt_tokens - found_tokens)
        self._rounds[ask.key] = sent
        book.under_way += 1
        book.placed_since += 1
        book.tokens += sent.tokens
        book.prefill_tokens += sent.prefill_tokens

    def first_token(self, key: RoundKey) -> None:
        """The round's prompt has been computed."""
        sent = self._rounds[key]
        self._books[sent.replica].prefill_tokens -= sent.prefill_tokens
        sent.prefill_tokens = 0

    def ended(self, key: RoundKey) -> None:
        """The round has been answered, or lost."""
        sent = self._rounds.pop(key)
        book = self._books[sent.replica]
        book.under_way -= 1
        book.tokens -= sent.tokens
        book.prefill_tokens -= sent.prefill_tokens  # of one that was lost before its first token
