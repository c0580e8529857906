"""When a macro step's evictions happened.

The free list is popped from the front only. So the i-th block popped in a macro step is the i-th
that its single steps would have popped, whoever gets it: its place says in which step.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from marsbench.shortcuts.block_loops import Run


def popped_by_step(
    tokens: Mapping[str, int], requests: Mapping[str, Any], steps: int, block_size: int
) -> list[int]:
    """Blocks popped off the free list by the end of each of so many steps.

    tokens: what a step gives each request; requests: as they are after the last step.
    """
    each = np.array(list(tokens.values()))
    after = np.array([requests[i].num_computed_tokens for i in tokens])
    return pops(after - steps * each, each, steps, block_size)


def pops(before: Any, each: Any, steps: int, block_size: int) -> list[int]:
    """The same from arrays: tokens that requests have before the first step, and get in each."""
    upto = before + np.arange(1, steps + 1)[:, None] * each
    blocks = -(-upto // block_size) - -(-before // block_size)
    return [int(n) for n in blocks.sum(axis=1)]


def by_writer(runs: Iterable[Run]) -> Counter[int]:
    """How many blocks of each writer were evicted, in the order of each one's first."""
    blocks: Counter[int] = Counter()
    for _, count, writer in runs:
        blocks[writer] += count
    return blocks


def by_step(runs: Sequence[Run], popped: Sequence[int]) -> Iterator[tuple[int, Counter[int]]]:
    """The same for each step in which any was: (step, blocks); steps count from 0.

    `popped[j]` counts all pops up to the end of step j.
    """
    parts = [part for run in runs for part in _parts(run, popped)]
    for step, of_step in groupby(parts, key=itemgetter(0)):
        yield step, by_writer(run for _, run in of_step)


def _parts(run: Run, popped: Sequence[int]) -> Iterator[tuple[int, Run]]:
    """A run, cut where one step ends and the next begins."""
    first, count, writer = run
    while count:
        step = bisect_left(popped, first)
        inside = min(count, popped[step] - first + 1)
        yield step, (first, inside, writer)
        first, count = first + inside, count - inside
