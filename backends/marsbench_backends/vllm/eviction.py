"""The order of vLLM's free list, where a policy says which cached blocks go first.

vLLM reuses the first block of one linked list, and gives blocks back at its end: its LRU. Here
blocks of one rank stand side by side, the lowest rank in front, and within a rank in the order in
which they were given back. vLLM, its shortcuts and the connectors to host memory take blocks off
the list as ever and know nothing of ranks. So it is enough to move blocks when they join the list,
and when a rank's time is over; what has left is noticed when it is met.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import groupby
from operator import itemgetter
from typing import Any

from marsbench_backends.answers.policy import Answers
from marsbench_backends.policy import EvictionRank
from marsbench_backends.vllm.decisions import Decisions
from marsbench_backends.vllm.views import VllmReq

Block = Any  # vLLM's KVCacheBlock; a pool's have the numbers from 0 on


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A rank until an instant, and the session that gave it."""

    rank: float
    until: float
    owner: str

    def holds_against(self, new: Standing, now: float) -> bool:
        """Whether another session's may not take its place."""
        return self.owner != new.owner and self.rank >= new.rank and self.until > now


PLAIN = Standing(0.0, math.inf, "")


@dataclass(slots=True, eq=False)
class Chain:
    """Blocks that were put side by side. num_gone: of the first of them, those that have left."""

    standing: Standing
    blocks: list[Block]
    num_gone: int = 0


NOWHERE = Chain(PLAIN, [])
"""Of blocks at the end of the list that have no place yet."""


class EvictionOrder:
    """Keeps a pool's free list in the order that a policy wants.

    vllm_free: gives blocks back as vLLM does, cached ones to the end of the list.
    """

    def __init__(self, pool: Any, answers: Answers, decisions: Decisions) -> None:
        self.vllm_free: Callable[[Iterable[Block]], None] = pool.free_blocks
        pool.free_blocks = self.free
        self._list = pool.free_block_queue
        self._most_placed = 2 * pool.num_gpu_blocks
        self._answers = answers
        self._decisions = decisions
        self._blocks: Sequence[Block] = pool.blocks
        num_blocks = len(self._blocks)
        self._standings = [PLAIN] * num_blocks
        self._keys: list[bytes | None] = [None] * num_blocks
        self._chain_of = [NOWHERE] * num_blocks
        self._ranks: dict[float, deque[Chain]] = {}
        self._expiries: list[tuple[float, int, Chain]] = []
        self._num_chains = self._num_placed = 0

    # --- how blocks stand

    def rank(self, req: VllmReq, blocks: Sequence[Block]) -> None:
        """Ask about the blocks of a round, in prompt order, which still uses them."""
        size, now = self._answers.view.block_size, self._answers.view.now
        ranks = self._answers.eviction_order(req)
        self._decisions.ranked(any(one.rank for one in ranks))
        full = [block for block in blocks if block.block_hash is not None]
        begin = 0
        for one in (*ranks, EvictionRank(math.inf, 0.0)):
            end = max(begin, math.ceil(min(one.upto, len(full) * size) / size))
            self._stand(full[begin:end], Standing(one.rank, one.until, req.session_id), now)
            begin = end

    def _stand(self, blocks: Sequence[Block], new: Standing, now: float) -> None:
        """Of a block that another session ranked higher, and that still has that content: no."""
        standings, keys = self._standings, self._keys
        before = {standings[block.block_id] for block in blocks}
        if any(old.holds_against(new, now) for old in before):
            blocks = [block for block in blocks if self._takes(block, new, now)]
        for block in blocks:
            standings[block.block_id], keys[block.block_id] = new, block.block_hash

    def _takes(self, block: Block, new: Standing, now: float) -> bool:
        if self._keys[block.block_id] != block.block_hash:
            return True
        return not self._standings[block.block_id].holds_against(new, now)

    def _standings_of(self, blocks: Sequence[Block], now: float) -> list[Standing]:
        """Plain where they have none, where it is over, and where the block was written anew."""
        standings, keys = self._standings, self._keys
        found = [
            standings[block.block_id] if keys[block.block_id] == block.block_hash else PLAIN
            for block in blocks
        ]
        if any(one.until <= now for one in set(found)):
            found = [PLAIN if one.until <= now else one for one in found]
        return found

    # --- the list

    def free(self, ordered_blocks: Iterable[Block]) -> None:
        """Give blocks back; the cached ones that nobody uses any more take their places."""
        blocks, now, own = list(ordered_blocks), self._answers.view.now, self._blocks
        self.vllm_free(blocks)
        free = [
            block
            for block in blocks
            if not block.ref_cnt and block.block_hash is not None and own[block.block_id] is block
        ]
        self._put(free, NOWHERE)
        pairs = zip(self._standings_of(free, now), free, strict=True)
        for standing, part in groupby(pairs, key=itemgetter(0)):
            self._place(standing, [block for _, block in part])

    def _place(self, standing: Standing, blocks: list[Block]) -> None:
        """Blocks side by side at the end of the list, or before others of the same call."""
        above = self._first_above(standing.rank)
        if above is not None:
            _move_before(above, blocks[0], blocks[-1])
        chain = Chain(standing, blocks)
        self._ranks.setdefault(standing.rank, deque()).append(chain)
        self._put(blocks, chain)
        if standing.until < math.inf:
            self._num_chains += 1
            heappush(self._expiries, (standing.until, self._num_chains, chain))
        self._num_placed += len(blocks)
        if self._num_placed > self._most_placed:
            self._forget_what_left()

    def _put(self, blocks: Iterable[Block], chain: Chain) -> None:
        chain_of = self._chain_of
        for block in blocks:
            chain_of[block.block_id] = chain

    def _first_above(self, rank: float) -> Block | None:
        """The first block in the list whose rank is higher."""
        for other in sorted(other for other in self._ranks if other > rank):
            chains = self._ranks[other]
            while chains:
                first = self._first(chains[0])
                if first is not None:
                    return first
                chains.popleft()
            del self._ranks[other]
        return None

    def _first(self, chain: Chain) -> Block | None:
        """The first of its blocks that is still where it was put."""
        blocks = chain.blocks
        for place in range(chain.num_gone, len(blocks)):
            if self._is_in(blocks[place], chain):
                chain.num_gone = place
                return blocks[place]
        chain.num_gone = len(blocks)
        return None

    def _is_in(self, block: Block, chain: Chain) -> bool:
        is_cached = block.block_hash is not None and not block.ref_cnt
        return is_cached and self._chain_of[block.block_id] is chain

    def _left(self, chain: Chain) -> list[Block]:
        return [block for block in chain.blocks[chain.num_gone :] if self._is_in(block, chain)]

    def _forget_what_left(self) -> None:
        """Of a pool's blocks each is in one place at most, so this is seldom."""
        self._num_placed = 0
        for rank, chains in self._ranks.items():
            for chain in chains:
                chain.blocks, chain.num_gone = self._left(chain), 0
                self._num_placed += len(chain.blocks)
            self._ranks[rank] = deque(chain for chain in chains if chain.blocks)

    # --- time passes

    @property
    def next_expiry(self) -> float:
        """When the next rank in the list is over; inf if none ever is."""
        expiries = self._expiries
        while expiries and self._first(expiries[0][2]) is None:
            heappop(expiries)
        return expiries[0][0] if expiries else math.inf

    def expire(self, now: float) -> None:
        """What has had its time joins vLLM's own order, as if it were given back now."""
        while self._expiries and self._expiries[0][0] <= now:
            blocks = self._left(heappop(self._expiries)[2])
            for block in blocks:
                self._list.remove(block)
            self._list.append_n(blocks)
            self._put(blocks, NOWHERE)
            if blocks:
                self._place(PLAIN, blocks)

    # --- under --check

    def ranks(self) -> Iterator[float]:
        """Of the cached blocks in the list, from the first on; what holds nothing has none."""
        for block in self._list.get_all_free_blocks():
            chain = self._chain_of[block.block_id]
            if chain is not NOWHERE and self._is_in(block, chain):
                yield chain.standing.rank


def _move_before(other: Block, first: Block, last: Block) -> None:
    """Of a linked list, the part from `first` to `last`."""
    if last.next_free_block is other:
        return
    before, after = first.prev_free_block, last.next_free_block
    before.next_free_block, after.prev_free_block = after, before
    left = other.prev_free_block
    left.next_free_block, first.prev_free_block = first, left
    last.next_free_block, other.prev_free_block = other, last
