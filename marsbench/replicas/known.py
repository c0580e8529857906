"""What an approximate router believes to be cached where: what it sent there itself."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from marsbench.replicas.router import RoundToPlace, Router, Segment


class _Known(NamedTuple):
    """Blocks of one writer, from number `start` up to `end`; last sent at `at`."""

    start: int
    end: int
    at: float


class KnownPrefixes:
    """For each replica how many blocks of each writer were sent there; it hears of no eviction.

    A trie over blocks answers the same, since a block's writer and number say all before it.
    lives_s: an entry that was not used for so long is forgotten.
    """

    def __init__(self, lives_s: float = math.inf) -> None:
        self._lives_s = lives_s
        self._known: dict[int, dict[int, _Known]] = defaultdict(dict)

    def matched(self, ask: RoundToPlace, replica: int) -> int:
        """Leading blocks of the prompt that were sent to the replica before."""
        known, matched = self._known.get(replica, {}), 0
        for segment in ask.blocks:
            seen = known.get(segment.writer)
            if seen is None or ask.now - seen.at > self._lives_s or seen.end <= matched:
                break
            matched = min(seen.end, segment.end)
            if seen.end < segment.end:
                break
        return matched

    def size(self, replica: int) -> int:
        """Blocks that were ever sent there, each once."""
        return sum(seen.end - seen.start for seen in self._known.get(replica, {}).values())

    def forget(self, replica: int) -> None:
        """It is gone, and its cache with it."""
        self._known.pop(replica, None)

    def learn(self, ask: RoundToPlace, replica: int) -> None:
        """The prompt was sent there."""
        known, start = self._known[replica], 0
        for segment in ask.blocks:
            seen = known.get(segment.writer)
            kept = 0 if seen is None or ask.now - seen.at > self._lives_s else seen.end
            known[segment.writer] = _Known(start, max(kept, segment.end), ask.now)
            start = segment.end


@dataclass
class PrefixRouter(Router):
    """A router that knows what it sent where."""

    _known: KnownPrefixes = field(default_factory=KnownPrefixes, init=False)

    def placed(self, ask: RoundToPlace, replica: int) -> None:
        self._known.learn(ask, replica)

    def gone(self, replica: int) -> None:
        self._known.forget(replica)


def longest(matches: Sequence[int]) -> list[int]:
    """The replicas with the longest match, in their order."""
    most = max(matches)
    return [index for index, found in enumerate(matches) if found == most]


def segments(keys: Sequence[bytes], num: int, writer_bytes: int) -> tuple[Segment, ...]:
    """The first `num` keys by who wrote them; each writer's stand side by side."""
    found: list[Segment] = []
    start = 0
    while start < num:
        writer = keys[start][:writer_bytes]
        end = _end_of(keys, writer, start, num, writer_bytes)
        found.append(Segment(int.from_bytes(writer, "big"), end))
        start = end
    return tuple(found)


def _end_of(keys: Sequence[bytes], writer: bytes, first: int, num: int, size: int) -> int:
    """Where the blocks of this writer end: the first place that another one wrote."""
    low, high = first, num
    while high - low > 1:
        middle = (low + high) // 2
        if keys[middle][:size] == writer:
            low = middle
        else:
            high = middle
    return high
