"""vLLM's loops over blocks, said plainly; `blocks.c` says the same, compiled.

Each takes vLLM's own block objects. A run of evictions is (first, count, writer): so many pops
from the `first` on gave up a block of one writer each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Any

from marsbench.shortcuts.keys import writer_of

Run = tuple[int, int, int]
Cache = dict[bytes, Any]

LOOKUP_CHUNK = 512  # a miss stops the look-up within this many blocks


def pop(
    head: Any,
    count: int,
    cache: Cache,
    simple: bool,
    place: int,
    slow_evict: Callable[[Any], bool],
    runs: list[Run],
) -> list[Any]:
    """The first `count` blocks of the free list, each with one reference and out of the cache.

    simple: no block has more than one hash. place: pops before these.
    """
    blocks, fresh = _unlink_first(head, count), list[Run]()
    for at, block in enumerate(blocks, place + 1):
        key = block._block_hash
        if key is not None:
            entry: Any = cache.get(key)
            if simple and entry is block:
                del cache[key]
                block._block_hash = block._block_hash_num_tokens = None
                note(fresh, at, key)
            elif slow_evict(block):
                note(fresh, at, key)
        block.ref_cnt += 1
    runs += fresh
    return blocks


def note(runs: list[Run], place: int, key: bytes) -> None:
    """The pop at this place evicted the block of this key."""
    writer = writer_of(key)
    if runs:
        first, count, last = runs[-1]
        if last == writer and first + count == place:
            runs[-1] = (first, count + 1, writer)
            return
    runs.append((place, 1, writer))


def _unlink_first(head: Any, count: int) -> list[Any]:
    blocks: list[Any] = []
    block = head.next_free_block
    for _ in range(count):
        blocks.append(block)
        after = block.next_free_block
        block.prev_free_block = block.next_free_block = None
        block = after
    head.next_free_block = block
    block.prev_free_block = head
    return blocks


def insert(
    cache: Cache,
    blocks: Sequence[Any],
    keys: Sequence[bytes],
    begin: int,
    end: int,
    size: int,
    slow_insert: Callable[[bytes, Any, int], None],
) -> None:
    """Enter blocks `begin` to `end` under their keys, each full of `size` tokens."""
    tokens = begin * size
    for block, key in zip(blocks[begin:end], keys[begin:end], strict=True):
        tokens += size
        if cache.setdefault(key, block) is block and block._block_hash is None:
            block._block_hash = key
            block._block_hash_num_tokens = tokens
        else:  # another block has this hash already: vLLM keeps both
            slow_insert(key, block, tokens)


def lookup(cache: Cache, keys: Sequence[bytes], limit: int) -> list[Any]:
    """The cached blocks of the longest cached prefix, at most `limit`."""
    get, found = cache.get, []
    for begin in range(0, min(len(keys), limit), LOOKUP_CHUNK):
        blocks = list(map(get, keys[begin : min(limit, begin + LOOKUP_CHUNK)]))
        if all(blocks):  # a miss is None; comparing blocks with None would call their __eq__
            found += blocks
            continue
        found += takewhile(bool, blocks)
        break
    if dict in set(map(type, found)):  # several blocks under one hash: the first serves
        found = [next(iter(b.values())) if isinstance(b, dict) else b for b in found]
    return found


def touch(blocks: Iterable[Any]) -> int:
    """Take a reference on each block; returns how many of them left the free list."""
    removed = 0
    for block in blocks:
        if block.ref_cnt == 0:
            before, after = block.prev_free_block, block.next_free_block
            before.next_free_block = after
            after.prev_free_block = before
            block.prev_free_block = block.next_free_block = None
            removed += 1
        block.ref_cnt += 1
    return removed


def give_back(blocks: Iterable[Any], head: Any, tail: Any) -> int:
    """Give a reference back on each block; returns how many, without a user, joined the free list.

    Those that hold nothing go to its front, the others to its end.
    """
    empty: list[Any] = []
    cached: list[Any] = []
    for block in blocks:
        block.ref_cnt -= 1
        if block.ref_cnt == 0:
            (empty if block._block_hash is None else cached).append(block)
    _link_between(head, empty, head.next_free_block)
    _link_between(tail.prev_free_block, cached, tail)
    return len(empty) + len(cached)


def _link_between(left: Any, blocks: Sequence[Any], right: Any) -> None:
    for block in blocks:
        block.prev_free_block = left
        left.next_free_block = block
        left = block
    left.next_free_block = right
    right.prev_free_block = left


def scan(block: Any, tail: Any, count: int, most: int, host: Cache) -> tuple[Any, int, list[Any]]:
    """Behind a block of the free list, those with contents that host memory has not.

    Goes through `count` of them, or until it has found `most`. Returns the last one (`block` where
    there is none), how many, and the found.
    """
    visited, found = 0, list[Any]()
    while visited < count and len(found) < most and block.next_free_block is not tail:
        block = block.next_free_block
        visited += 1
        key = block._block_hash
        if key is not None and key not in host:
            found.append(block)
    return block, visited, found


def before(block: Any, head: Any, most: int) -> int:
    """How many blocks of the free list come before one of them; at most so many are counted."""
    count = 0
    while count < most and block.prev_free_block is not head:
        block = block.prev_free_block
        count += 1
    return count


def count_unused(blocks: Sequence[Any]) -> int:
    """How many blocks nobody uses."""
    return [block.ref_cnt for block in blocks].count(0)
