"""Lists of block hashes in little memory: as runs of numbers that follow each other.

Public traces number their blocks in the order in which they are first met, so that a prompt of
hundreds of blocks is a handful of runs.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

_HALF = 2**62


class Blocks(NamedTuple):
    """A list of hashes: how many, and its runs.

    runs: of each run its first number, whether the number behind it is greater than its next would
        be, and how many it has, negative where it is. So written, runs are in the order in which
        the lists are that they stand for.
    """

    num: int
    runs: array[int]


NONE = Blocks(0, array("q"))


@dataclass(slots=True)
class Packer:
    """Packs the hashes of one file; those of more than 62 bits get numbers of their own."""

    large: dict[int, int] = field(default_factory=dict)

    def packed(self, hashes: Sequence[int]) -> Blocks:
        if not hashes:
            return NONE
        if not (min(hashes) >= -_HALF and max(hashes) < _HALF):
            hashes = [self._small(one) for one in hashes]
        return Blocks(len(hashes), _runs(np.array(hashes, dtype=np.int64)))

    def _small(self, number: int) -> int:
        if -_HALF <= number < _HALF:
            return number
        # Two apart, for they follow nothing.
        return self.large.setdefault(number, -_HALF - 2 - 2 * len(self.large))


def _runs(numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> array[int]:
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    starts = np.concatenate(([0], breaks))
    lengths = np.diff(np.concatenate((starts, [len(numbers)])))
    firsts = numbers[starts]
    rises = np.zeros(len(firsts), dtype=np.int64)
    rises[:-1] = firsts[1:] > firsts[:-1] + lengths[:-1]
    runs = np.stack((firsts, rises, np.where(rises, -lengths, lengths)), axis=1)
    return array("q", runs.tobytes())


def num_shared(one: Blocks, other: Blocks) -> int:
    """How many leading hashes are the same."""
    low, high = 0, min(len(one.runs), len(other.runs))
    if one.runs[:high] == other.runs[:high]:
        low = high
    # The first `low` are the same and the first `high` are not: slices compare at C's speed.
    while high - low > 1:
        middle = (low + high) // 2
        if one.runs[low:middle] == other.runs[low:middle]:
            low = middle
        else:
            high = middle
    whole = low // 3
    shared = sum(map(abs, one.runs[2 : 3 * whole : 3]))
    end = 3 * whole + 2
    if end >= min(len(one.runs), len(other.runs)) or one.runs[end - 2] != other.runs[end - 2]:
        return shared
    return shared + min(abs(one.runs[end]), abs(other.runs[end]))


def packed(hashes: Sequence[int]) -> Blocks:
    """One list alone."""
    return Packer().packed(hashes)
