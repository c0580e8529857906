"""Blocks of host memory that stay together: of a context that grows, a few runs, not each block.

Where a whole context is looked up or moved, a run of it is compared and moved as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Stretch:
    """Blocks of one context, head to tail, that belong to one group. No block is in two."""

    __slots__ = ("group", "keys")

    def __init__(self, group: Any, keys: list[Any]) -> None:
        self.group, self.keys = group, keys

    def drop(self, keys: list[Any]) -> None:
        """Take some out; mostly they are its tail, in either order, or its head."""
        own, num = self.keys, len(keys)
        if own[-1] in (keys[0], keys[-1]) and set(own[-num:]) == set(keys):
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
        """Those that are not here; a run is compared as a whole."""
        found, place, of = list[Any](), 0, self.get
        while place < len(keys):
            run = of(keys[place])
            if run is None:
                found.append(keys[place])
                place += 1
            else:
                place = _behind(run, keys, place)
        return found

    def num_leading(self, keys: list[Any]) -> int:
        """So many of these are here without a gap."""
        place = 0
        while place < len(keys) and (run := self.get(keys[place])) is not None:
            place = _behind(run, keys, place)
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
            end = place + len(run.keys)
            if keys[place:end] != run.keys:
                end = self._end_of_run(keys, place, run)
            yield run, place, keys[place:end]
            place = end

    def _end_of_run(self, keys: list[Any], place: int, run: Stretch) -> int:
        place, of = place + 1, self.get
        while place < len(keys) and of(keys[place]) is run:
            place += 1
        return place


def _behind(run: Stretch, keys: list[Any], place: int) -> int:
    """Behind a run where all of it is here, else behind its first block."""
    end = place + len(run.keys)
    return end if keys[place:end] == run.keys else place + 1
