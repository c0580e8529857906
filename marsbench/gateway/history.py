"""The gateway's latest events with their numbers, in so many bytes and no more."""

from __future__ import annotations

from collections import deque
from itertools import islice

from marsbench.core import events

OVERHEAD = 512
"""Bytes that an event takes beside the names in it."""
MOST_AT_ONCE = 10_000
"""Events of one answer; who asks goes on with the next."""


class History:
    """Keeps the last events, oldest first, as long as they are within `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._events: deque[tuple[events.Event, int]] = deque()
        self._size = 0
        self._next = 0

    def append(self, event: events.Event) -> None:
        """One more; the oldest make room."""
        size = OVERHEAD + sum(
            len(text) for name in event.__slots__ if isinstance(text := getattr(event, name), str)
        )
        self._events.append((event, size))
        self._size += size
        self._next += 1
        while self._size > self._most:
            self._size -= self._events.popleft()[1]

    def since(self, number: int) -> tuple[list[events.Event], int]:
        """Events from that number on, as far as they are kept, and the number to go on with."""
        first = self._next - len(self._events)
        start = min(max(number, first), self._next)
        found = islice(self._events, start - first, start - first + MOST_AT_ONCE)
        told = [event for event, _ in found]
        return told, start + len(told)
