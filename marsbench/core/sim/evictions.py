"""When a macro step's evictions happened.

The free list is popped from the front only. So the i-th block popped in a macro step is the i-th
that its single steps would have popped, whoever gets it: its place says in which step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


def popped_by_step(
    tokens: Mapping[str, int], requests: Mapping[str, Any], steps: int, block_size: int
) -> list[int]:
    """Blocks popped off the free list by the end of each of so many steps.

    tokens: what a step gives each request; requests: as they are after the last step.
    """
    each = np.array(list(tokens.values()))
    after = np.array([requests[i].num_computed_tokens for i in tokens])
    before = after - steps * each
    upto = before + np.arange(1, steps + 1)[:, None] * each
    blocks = -(-upto // block_size) - -(-before // block_size)
    return [int(n) for n in blocks.sum(axis=1)]


def by_step(evictions: list[tuple[int, bytes]], popped: list[int]) -> Iterator[list[bytes]]:
    """The evicted hashes of each step; `popped[j]` counts all pops up to the end of step j."""
    place = 0
    for total in popped:
        begin = place
        while place < len(evictions) and evictions[place][0] <= total:
            place += 1
        yield [block_hash for _, block_hash in evictions[begin:place]]
