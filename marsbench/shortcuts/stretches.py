"""Blocks of host memory that stay together: of a context that grows, a few runs, not each block.

Where a whole context is looked up or moved, a run of it is compared and moved as one. Where it has
no gaps to compare its ends is enough, since a block's key stands for all that comes before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import filterfalse, islice
from typing import Any

from marsbench.shortcuts.keys import place_of

Part = tuple[Any, list[Any]]
"""A run, and some of its blocks."""


class Stretch:
    """Blocks of one context, head to tail, that belong to one group. No block is in two."""

    __slots__ = ("group", "keys")

    def __init__(self, group: Any, keys: list[Any]) -> None:
        self.group, self.keys = group, keys

    def leaving(self) -> Iterator[Any]:
        """Its blocks, the first to leave first."""
        return reversed(self.keys)

    def drop(self, keys: list[Any]) -> None:
        """Take some out; mostly they are its tail, in either order, or its head."""
        own, num = self.keys, len(keys)
        tail = own[-num:]
        if tail == keys or tail[::-1] == keys:
            del own[-num:]
        elif own[:num] == keys:
            del own[:num]
        else:
            gone = set(keys)
            own[:] = [key for key in own if key not in gone]


class Stretches(dict[Any, Any]):
    """The run of each block that is here."""

    def enter(self, run: Stretch, keys: list[Any]) -> None:
        """These are its blocks from now on."""
        self.update(dict.fromkeys(keys, run))

    def absent(self, keys: list[Any]) -> list[Any]:
        """Those that are not here; the first ones mostly are."""
        return list(filterfalse(self.__contains__, keys[self.num_leading(keys) :]))

    def num_leading(self, keys: list[Any]) -> int:
        """So many of these are here without a gap."""
        place = 0
        while place < len(keys) and (run := self.get(keys[place])) is not None:
            place = _behind(run, keys, place) or place + 1
        return place

    def parts(self, keys: list[Any]) -> Iterator[tuple[Any, int, list[Any]]]:
        """Those that are here, run by run: the run, where its blocks begin, and which they are.

        A run may be moved, or lose the blocks that have passed, before the next one is asked for.
        """
        place, of = 0, self.get
        while place < len(keys):
            run = of(keys[place])
            if run is None:
                place += 1
                continue
            begin, end = place, _behind(run, keys, place)
            place = end or self._end_of_run(keys, begin, run)
            yield run, begin, run.keys if end else keys[begin:place]

    def _end_of_run(self, keys: list[Any], place: int, run: Stretch) -> int:
        place, of = place + 1, self.get
        while place < len(keys) and of(keys[place]) is run:
            place += 1
        return place


def _behind(run: Stretch, keys: list[Any], place: int) -> int:
    """Where a whole run that begins there ends; 0 where these are not all of it, or others."""
    own = run.keys
    end = place + len(own)
    if end > len(keys) or keys[end - 1] != own[-1] or keys[place] != own[0]:
        return 0
    has_gaps = place_of(own[-1]) - place_of(own[0]) >= len(own)
    return 0 if has_gaps and keys[place:end] != own else end


class Kept:
    """What both evictions know of host memory: its blocks, their runs, and who may not leave.

    chunks: the slot of each block. busy: those that are being copied.
    """

    def __init__(self, cache_capacity: int) -> None:
        super().__init__(cache_capacity)  # type: ignore[call-arg]  # of vLLM's policy
        self.chunks: dict[Any, Any] = {}
        self.run_of = Stretches()
        self.busy: set[Any] = set()

    def enter(self, keys: list[Any], chunks: Iterable[Any]) -> None:
        """They are here, and will be copied."""
        self.chunks.update(zip(keys, chunks, strict=True))
        self.busy.update(keys)

    def mark_evictable(self, key: Any) -> None:
        self.busy.discard(key)

    def mark_non_evictable(self, key: Any) -> None:
        self.busy.add(key)

    def all_evictable(self, keys: set[Any]) -> None:
        """Their stores are done."""
        self.busy -= keys

    def choose(self, runs: Iterable[Stretch], most: int, protected: list[Any]) -> list[Part]:
        """Those of these runs that may leave, the first to do so first; at most so many."""
        spared = {run for run, _, _ in self.run_of.parts(protected)}
        found = list[Part]()
        for run in runs:
            if not most:
                break
            keys = filterfalse(self.busy.__contains__, run.leaving())
            if run in spared:
                keys = filterfalse(set(protected).__contains__, keys)
            if some := list(islice(keys, most)):
                found.append((run, some))
                most -= len(some)
        return found

    def give_up(self, keys: list[Any]) -> list[tuple[Any, Any]]:
        """They have left their runs, and leave: each with its slot."""
        deque(map(self.run_of.__delitem__, keys), maxlen=0)
        return list(zip(keys, map(self.chunks.pop, keys), strict=True))

    def forget(self, key: Any) -> Any:
        """One leaves that was to be copied, and was not: its run."""
        del self.chunks[key]
        self.busy.discard(key)
        return self.run_of.pop(key)

    def forget_all(self) -> None:
        for books in (self.chunks, self.run_of, self.busy):
            books.clear()


def begins_with(keys: list[Any], some: list[Any]) -> bool:
    """Whether these blocks of a context begin with some; both are without gaps."""
    num = len(some)
    return num <= len(keys) and keys[0] == some[0] and keys[num - 1] == some[-1]


def keys_of(parts: Iterable[Part]) -> list[Any]:
    """All blocks of them, in their order."""
    return [key for _, keys in parts for key in keys]
