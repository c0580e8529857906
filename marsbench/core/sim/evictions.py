"""When a macro step's evictions happened.

The free list is popped from the front only. So the i-th block popped in a macro step is the i-th
that its single steps would have popped, whoever gets it: its place says in which step.
"""

from __future__ import annotations

from collections.abc import Iterator


def by_step(evictions: list[tuple[int, bytes]], popped: list[int]) -> Iterator[list[bytes]]:
    """The evicted hashes of each step; `popped[j]` counts all pops up to the end of step j."""
    place = 0
    for total in popped:
        begin = place
        while place < len(evictions) and evictions[place][0] <= total:
            place += 1
        yield [block_hash for _, block_hash in evictions[begin:place]]
