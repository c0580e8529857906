"""Lists of block hashes in little memory: as runs of numbers that follow each other.

Public traces number their blocks in the order in which they are first met, so that a prompt of
hundreds of blocks is a handful of runs.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from array import array
from collections.abc import Sequence
from typing import NamedTuple, overload

import numpy as np

from marsbench.formats.reading import ReadError

MOST_KEPT = 6_000_000
"""Numbers of runs that are kept in memory, 8 bytes each; those of further lists are in a file."""


class StoredRuns:
    """Runs that are in a file: read where they are looked at."""

    __slots__ = ("_begin", "_num", "_store")

    def __init__(self, store: RunStore, begin: int, num: int) -> None:
        self._store, self._begin, self._num = store, begin, num

    def __len__(self) -> int:
        return self._num

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> array[int]: ...
    def __getitem__(self, place: int | slice) -> int | array[int]:
        if isinstance(place, int):
            place = range(self._num)[place]
            return self._store.read(self._begin + place, 1)[0]
        begin, end, step = place.indices(self._num)
        return self._store.read(self._begin + begin, max(0, end - begin))[::step]


class RunStore:
    """A file without a name, in the folder for such files (TMPDIR), of the runs of many lists."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as its lists)
        weakref.finalize(self, self._file.close)
        self._size = 0

    def put(self, runs: array[int]) -> StoredRuns:
        """Raises ReadError when there is no room."""
        stored = StoredRuns(self, self._size, len(runs))
        try:
            self._file.write(runs.tobytes())
        except OSError as error:
            raise ReadError(
                f"its hashes need more room than {tempfile.gettempdir()} has; name another folder "
                "in TMPDIR, or give --limit N"
            ) from error
        self._size += len(runs)
        return stored

    def read(self, begin: int, num: int) -> array[int]:
        """So many numbers from a place on."""
        width = array("q").itemsize
        self._file.flush()
        return array("q", os.pread(self._file.fileno(), width * num, width * begin))


class Blocks(NamedTuple):
    """A list of hashes: how many, and its runs.

    runs: of each run its first number, whether the number behind it is greater than its next would
        be, and how many it has, negative where it is. So written, runs are in the order in which
        the lists are that they stand for.
    """

    num: int
    runs: array[int] | StoredRuns


NONE = Blocks(0, array("q"))


class Packer:
    """Packs the hashes of one file, in memory as long as they are few."""

    def __init__(self) -> None:
        self._kept = 0
        self._store: RunStore | None = None

    def packed(self, hashes: Sequence[int]) -> Blocks:
        """Raises ReadError when there is no room."""
        if not hashes:
            return NONE
        runs = _runs(_numbers(hashes))
        self._kept += len(runs)
        if self._kept <= MOST_KEPT:
            return Blocks(len(hashes), runs)
        if self._store is None:
            self._store = RunStore()
        return Blocks(len(hashes), self._store.put(runs))


def _numbers(hashes: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """In 64 bits, signed or not; those of more bits by a hash of them."""
    try:
        return np.array(hashes, dtype=np.int64)
    except OverflowError:
        bits = [one % 2**64 if -(2**63) <= one < 2**64 else _hashed(one) for one in hashes]
        return np.array(bits, dtype=np.uint64).view(np.int64)


def _hashed(number: int) -> int:
    data = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _runs(numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> array[int]:
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    starts = np.concatenate(([0], breaks))
    lengths = np.diff(np.concatenate((starts, [len(numbers)])))
    firsts = numbers[starts]
    rises = np.zeros(len(firsts), dtype=np.int64)
    # What follows a run is not its next number, so it is greater than that or not than its last.
    rises[:-1] = firsts[1:] > numbers[breaks - 1]
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
